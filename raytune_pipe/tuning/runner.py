"""Launching an experiment: plan it, claim its name, run its trials on Ray, publish its tables."""

import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType, NoneType
from typing import Literal

from raytune_pipe.base import ClusterError, ResultsError
from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.events import (
    SCHEMA_VERSION,
    ColumnType,
    Event,
    ExperimentEvent,
    FinishEvent,
)
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.trial import leaves
from raytune_pipe.tuning.cluster import Cluster, connected, local_cluster
from raytune_pipe.tuning.recorder import Recorder

Listener = Callable[[Event], None]
FinishState = Literal["finished", "interrupted", "failed"]

FIRST_PUBLISH_S = 5.0
"""Seconds from the first report to the first tables; the interval then grows with the run."""


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    path: Path
    """The run directory."""
    state: str
    """finished or interrupted."""
    exit_code: int
    """0; 3 where no trial can be used; 130 or 143 after Ctrl-C or SIGTERM."""


class Interrupted(Exception):
    """A signal asks the launch to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def launch(
    experiment: Experiment,
    *,
    address: str | None = None,
    new: bool = False,
    listener: Listener = lambda _event: None,
) -> Outcome:
    """Run an experiment to its end, or to a signal.

    Args:
        address: None for an embedded local Ray, ``auto`` or ``HOST:PORT`` for a running cluster.
        new: take the first free name if the experiment's is taken.
        listener: hears every event of the journal, after it is on disk.

    Raises:
        ClusterError: no cluster answers, or none of its nodes can run a trial.
        NameTakenError: the name is taken, and `new` was not asked for.
        ResultsError: the run directory cannot be written.
    """
    plan = experiment.plan()
    if address is None:
        local_cluster().request(experiment.resources)
    with RunDirectory.claim(Path(experiment.storage), experiment.name, new=new) as run:
        recorder = prepare(experiment, plan, run, listener)
        try:
            with connected(address) as cluster, _signals() as received:
                _run_trials(recorder, cluster, received)
            finish = _finish("finished", 0 if _is_any_usable(recorder) else 3)
        except Interrupted as interrupted:
            finish = _finish("interrupted", interrupted.exit_code, str(interrupted))
        except KeyboardInterrupt:
            _close(recorder, _finish("interrupted", 130, "SIGINT"))
            raise
        except ClusterError:
            run.discard()  # nothing has run, so the name is free again
            raise
        except BaseException as error:
            _close(recorder, _finish("failed", 1, f"{type(error).__name__}: {error}"))
            raise
        _close(recorder, finish)
    return Outcome(run.path, finish["state"], finish["exit_code"])


def prepare(
    experiment: Experiment,
    plan: list[PlannedTrial],
    run: RunDirectory,
    listener: Listener,
) -> Recorder:
    """Journal what will be run, before anything runs; the recorder then knows every trial."""
    space = experiment.space()
    header: ExperimentEvent = {
        "event": "experiment",
        "schema_version": SCHEMA_VERSION,
        "package_version": version("raytune-pipe"),
        "experiment": experiment.resolved(),
        "space": space.to_mappings(),
        "columns": _column_types(plan),
        "objective": experiment.objective.model_dump(mode="json"),
        "time": time.time(),
    }
    names = [planned.trial_id for planned in plan]
    maker = experiment.scheduler.build(space, names, experiment.trial.epochs, experiment.seed)
    recorder = Recorder(experiment, run, maker, listener=listener)
    recorder.write(header)
    run.write_file("experiment.yaml", experiment.to_yaml())
    run.write_status("running")
    recorder.add_plan(plan)
    return recorder


def _run_trials(recorder: Recorder, cluster: Cluster, received: list[int]) -> None:
    """Give the trials to Ray Tune, and come back when all have ended.

    Raises:
        Interrupted: a signal was received.
    """
    from ray import tune

    from raytune_pipe.tuning.adapter import Decider, Loop, PlannedTrials, Slots
    from raytune_pipe.tuning.trainable import TrialActor

    resources = recorder.experiment.resources
    request = cluster.request(resources)
    recorder.device = "cuda" if request.get("GPU") else "cpu"
    slots = Slots(cluster.slots(resources))
    publishing = Publishing(recorder)

    def turn() -> None:
        if received:
            raise Interrupted(received[0])
        publishing.publish_if_due()

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots.count)
    with tempfile.TemporaryDirectory(prefix="raytune-pipe-") as scratch:
        tune.run(
            TrialActor,
            name="scratch",
            storage_path=scratch,
            search_alg=PlannedTrials(recorder, slots, request),
            scheduler=Decider(recorder, slots),
            callbacks=[Loop(recorder, turn)],
            reuse_actors=True,
            raise_on_failed_trial=False,
            verbose=0,
        )
    if not recorder.is_finished:
        raise ResultsError(
            f"{recorder.run.path}: every trial must have ended when Ray Tune returns, but some "
            "have not; this is a defect of raytune-pipe: please report it with journal.jsonl"
        )


@dataclass
class Publishing:
    """Publishes the tables at growing intervals, so that it never costs more than a twentieth."""

    recorder: Recorder
    began: float = field(default_factory=time.monotonic)
    due: float = field(default_factory=lambda: time.monotonic() + FIRST_PUBLISH_S)

    def publish_if_due(self) -> None:
        """Publish where it is time."""
        started = time.monotonic()
        if started < self.due:
            return
        self.recorder.publish()
        ended = time.monotonic()
        self.due = ended + max(FIRST_PUBLISH_S, 20 * (ended - started), 0.1 * (ended - self.began))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that ask for an end, as they come; a second one ends at once."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    # Ray installs its own handler for SIGTERM when it connects; ours comes after and goes before.
    handlers = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _column_types(plan: list[PlannedTrial]) -> dict[str, ColumnType]:
    """The table column type of every leaf over all planned trials."""
    seen: dict[str, set[type]] = defaultdict(set)
    for planned in plan:
        for name, value in leaves(planned.trial).items():
            seen[name].add(type(value))
    return {name: _column_type(types - {NoneType}) for name, types in seen.items()}


def _column_type(types: set[type]) -> ColumnType:
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64"
    return "float64" if types and types <= {int, float} else "string"


def _is_any_usable(recorder: Recorder) -> bool:
    return any(state.status in ("completed", "stopped_early") for state in recorder.trials.values())


def _finish(state: FinishState, exit_code: int, error: str | None = None) -> FinishEvent:
    return {
        "event": "finish",
        "state": state,
        "exit_code": exit_code,
        "error": error,
        "time": time.time(),
    }


def _close(recorder: Recorder, finish: FinishEvent) -> None:
    recorder.write(finish)
    recorder.publish()
    recorder.run.write_status(finish["state"], exit_code=finish["exit_code"], error=finish["error"])
