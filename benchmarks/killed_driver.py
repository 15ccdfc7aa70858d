"""A driver that sends itself SIGKILL at a named point of a run.

The point is an event of the journal (the listener hears it once it is on disk), an operation of
the operating system (an audit hook hears of it before it is done), or half of a write. So it is the
same point every time, however fast the machine is.

    python -m benchmarks.killed_driver "a trial's end" launch EXPERIMENT.yaml
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from raytune_pipe import launch, load_experiment, resume
from raytune_pipe.results.events import Event, ReportEvent
from raytune_pipe.results.journal import JOURNAL
from raytune_pipe.scheduling.decisions import Decision
from raytune_pipe.tuning import running
from raytune_pipe.tuning.recorder import Recorder

RUN = "run"
"""The name of every run that is killed here."""
PUBLISH_AFTER_S = 0.1
"""Instead of 5 s, since these runs are short."""
NEVER_CAME = 90
"""The exit code where the run ended before its point came."""


class Phase:
    """A point of a run; it hears of every event and of every audited operation."""

    how = ""
    """How it is hit, for the table."""

    def hear(self, event: Event) -> None:
        """An event is on disk."""

    def audit(self, operation: str, arguments: tuple[Any, ...]) -> None:
        """An operation is about to be done."""

    def arm(self) -> None:
        """Prepare what neither of the two can see."""


class AtEvent(Phase):
    """Once an event is on disk that meets a condition."""

    def __init__(self, how: str, meets: Callable[[Event], bool], count: int = 1) -> None:
        self.how, self._meets, self._left = how, meets, count

    def hear(self, event: Event) -> None:
        """Count the events that meet the condition."""
        self._left -= self._meets(event)
        if not self._left:
            die()


class AtOperation(Phase):
    """Before an operation on a path of that name, once an event of that kind is on disk."""

    def __init__(
        self, how: str, operation: str, name: str, after: str | None = None, count: int = 1
    ) -> None:
        self.how, self._operation, self._name = how, operation, name
        self._after, self._left = after, count

    def hear(self, event: Event) -> None:
        """Begin to count once the event has come."""
        if event["event"] == self._after:
            self._after = None

    def audit(self, operation: str, arguments: tuple[Any, ...]) -> None:
        """Count the operations; a path is the last of those that an operation names."""
        if self._after is not None or operation != self._operation:
            return
        path = arguments[1] if operation == "os.rename" else arguments[0]
        if isinstance(path, str | os.PathLike) and Path(path).name == self._name:
            self._left -= 1
            if not self._left:
                die()


class MidPlan(Phase):
    """In the middle of the one write that holds all planned trials."""

    how = "`os.write` of the plan writes three fifths of its bytes"

    def arm(self) -> None:
        """Cut the write."""
        write = os.write

        def cut(descriptor: int, data: Any) -> int:
            if b'"event":"plan"' in bytes(data):
                write(descriptor, bytes(data)[: len(data) * 3 // 5])
                die()
            return write(descriptor, data)

        patch.object(os, "write", cut).start()


class RayIsUp(Phase):
    """When Ray has started, and Ray Tune is about to be imported."""

    how = "before `ray.tune` is imported; `ray.is_initialized()` holds"

    def audit(self, operation: str, arguments: tuple[Any, ...]) -> None:
        """Die at the import, unless Ray is not up."""
        if operation == "import" and arguments[0] == "ray.tune":
            import ray

            if ray.is_initialized():
                die()


class CheckpointBeingWritten(Phase):
    """When a worker has written its second checkpoint, under a hidden name still."""

    how = "an audit hook in every worker, before the rename; the worker is killed too"

    def arm(self) -> None:
        """Have the workers run the hook."""
        hooks = str(Path(__file__).parent / "in_workers")
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([hooks, others] if others else [hooks])
        os.environ["KILLED_DRIVER"] = str(os.getpid())


class Replaying(Phase):
    """In the middle of a resume's replay."""

    how = "`Recorder.on_report` is called for the second time while it replays"

    def arm(self) -> None:
        """Count the replayed reports."""
        on_report, calls = Recorder.on_report, 0

        def count(recorder: Recorder, event: ReportEvent) -> list[Decision]:
            nonlocal calls
            calls += recorder.replay is not None
            if calls == 2:
                die()
            return on_report(recorder, event)

        patch.object(Recorder, "on_report", count).start()


class Draining(Phase):
    """After a SIGTERM, while the run comes to its end."""

    how = "SIGTERM at the first report; before the next event, or at the next table"

    def __init__(self) -> None:
        self._told = False

    def hear(self, event: Event) -> None:
        """Ask for an end at the first report; die at what is on disk next."""
        if self._told:
            die()
        if event["event"] == "report":
            self._told = True
            os.kill(os.getpid(), signal.SIGTERM)

    def audit(self, operation: str, arguments: tuple[Any, ...]) -> None:
        """Die at a table."""
        if self._told and operation == "os.rename" and str(arguments[1]).endswith(".parquet"):
            die()


def _is(kind: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == kind


def _is_planned(trials: int) -> Callable[[Event], bool]:
    """Whether all is planned: a resume plans first what the launch had not."""
    return lambda event: (
        event["event"] == "resume"
        or (event["event"] == "plan" and int(event["trial_id"]) == trials - 1)
    )


def _decides(action: str) -> Callable[[Event], bool]:
    return lambda event: (
        event["event"] == "decision"
        and any(decision["action"] == action for decision in event["decisions"])
    )


def phases(trials: int) -> dict[str, Phase]:
    """Every named phase of a run of so many trials."""
    return {
        "before the folder": AtOperation("before `os.mkdir` of the run", "os.mkdir", RUN),
        "before the journal": AtOperation(
            "before it is opened; the run is claimed", "open", JOURNAL
        ),
        "mid plan": MidPlan(),
        "before Ray": AtEvent("the last `plan` or the `resume` is on disk", _is_planned(trials)),
        "Ray is up": RayIsUp(),
        "first report": AtEvent("the first `report` is on disk", _is("report")),
        "a checkpoint": CheckpointBeingWritten(),
        "a rung": AtEvent("the first `decision` to stop is on disk", _decides("stop")),
        "a barrier": AtEvent("the first `decision` to copy is on disk", _decides("exploit")),
        "a trial's end": AtEvent("the first `end` is on disk", _is("end")),
        "mid publish": AtOperation(
            "`trials.parquet` is replaced, `reports.parquet` not yet",
            *("os.rename", "reports.parquet", "report"),
        ),
        "before the tables": AtEvent("the `finish` is on disk, no table is", _is("finish")),
        "the replay": Replaying(),
        "after the replay": AtEvent("the `resume` is on disk", _is("resume")),
        "a drain": Draining(),
        "the finish": AtOperation(
            "all is on disk but the last `status.json`", "os.rename", "status.json", "finish", 2
        ),
    }


def phase_of(name: str, trials: int) -> Phase:
    """A named phase, or ``report N``: once that many reports are on disk."""
    kind, _, count = name.partition(" ")
    if kind == "report":
        return AtEvent(f"{count} reports are on disk", _is("report"), int(count))
    return phases(trials)[name]


def die() -> None:
    """End this process as a crash ends it."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(phase: str, verb: str, path: str) -> None:
    """Launch or resume, and die at the phase; ends with `NEVER_CAME` if it does not come."""
    running.FIRST_PUBLISH_S = PUBLISH_AFTER_S
    experiment = load_experiment(path) if verb == "launch" else None
    point = phase_of(phase, experiment.trials if experiment else 0)
    point.arm()
    sys.addaudithook(point.audit)
    if experiment:
        launch(experiment, listener=point.hear)
    else:
        resume(Path(path), listener=point.hear)
    sys.exit(NEVER_CAME)


if __name__ == "__main__":
    main(*sys.argv[1:])
