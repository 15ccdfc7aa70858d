"""A crash at every operation on the files of a run, each gone on with to the end.

A run without Ray (see `simulated_run`; the checkpoints are the trainer's own) is launched, left in
its middle, gone on with and finished on a disk that records what is done to it. For each state that
a crash at any of these operations can leave, the run is taken up by the real code and run to its
end. What must hold then is in `check`.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from os import utime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import torch

from raytune_pipe.base import ResultsError
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.encoding import decode, encode
from raytune_pipe.results.events import CheckpointReference, Event, FinishEvent
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from raytune_pipe.tuning.assignment import Answer, Assignment, Failure
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

from benchmarks.decided import decided, differing
from benchmarks.faulty_storage import reports_of
from benchmarks.simulated_disk import Crash, put, recorded
from benchmarks.simulated_run import Worker, experiment_of, run_to_end

SCHEDULERS: dict[str, dict[str, Any]] = {
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "pbt": {"kind": "pbt", "interval_epochs": 1, "quantile": 0.25},
}
FAILS = ("00003", 2)
"""A trial, and after how many epochs it fails: for good, as it is not tried again."""


class Left(Exception):
    """The first process leaves the run."""


class TorchWorker(Worker):
    """Keeps the way of its weights in a checkpoint of the trainer's own kind."""

    def __init__(self, assignment: Assignment) -> None:
        super().__init__(Assignment(**{**vars(assignment), "start_from": None}))
        self.assignment = assignment
        if assignment.start_from:
            path = Path(assignment.directory) / assignment.start_from.path
            self.way = list(load_checkpoint(path, torch.device("cpu")).scores)

    def answer(self) -> Answer:
        if (self.assignment.trial_id, len(self.way)) == FAILS:
            return Answer(
                failure=Failure("exception", "ValueError: no", "Traceback\nValueError: no")
            )
        return super().answer()

    def save(self) -> CheckpointReference:
        assignment = self.assignment
        attempt = f"-{assignment.attempt}" if assignment.attempt else ""
        relative = f"checkpoints/{assignment.trial_id}/{self.reports}{attempt}.pt"
        path, age = Path(assignment.directory) / relative, len(self.way)
        digest = save_checkpoint(path, Checkpoint({}, "sgd", {}, age, age, self.way, 1.0 * age))
        return {"path": relative, "sha256": digest, "bytes": path.stat().st_size}


def small_experiment(scheduler: str) -> Experiment:
    return experiment_of(SCHEDULERS[scheduler], trials=4, epochs=4, keep_checkpoints=2)


def go_on(
    recorder: Recorder, leave_after: int | None = None, publish_every: int | None = None
) -> None:
    """Run to the end, or to where the process leaves the run, as the runner does."""
    answers = 0

    def turn() -> None:
        nonlocal answers
        answers += 1
        if publish_every and answers % publish_every == 0:
            recorder.publish()
        if answers == leave_after:
            raise Left

    with suppress(Left):
        run_to_end(recorder, TorchWorker, turn)
    finish: FinishEvent = {
        "event": "finish",
        "state": "finished" if recorder.is_finished else "interrupted",
        "exit_code": 0 if recorder.is_finished else 130,
        "error": None,
        "time": 1.0,
    }
    recorder.write(finish)
    recorder.publish()
    recorder.run.write_status(finish["state"], exit_code=finish["exit_code"])


def crashes_of(scheduler: str, storage: Path) -> tuple[list[Event], list[Crash]]:
    """The events of a run in two processes, and what a crash at each of its operations leaves."""
    experiment = small_experiment(scheduler)
    events: list[Event] = []
    with recorded(storage) as recording:

        def hear(event: Event) -> None:
            events.append(event)
            recording.told()

        with RunDirectory.claim(storage, "run") as run:
            recorder = prepare(experiment, experiment.plan(), run, hear)
            go_on(recorder, leave_after=9, publish_every=4)
        with RunDirectory.reopen(storage / "run") as run:
            go_on(recorder_of(run, hear), publish_every=4)
    return events, list(recording.crashes())


@dataclass
class Found:
    """What the crashes of one kind came to."""

    points: Counter[str] = field(default_factory=Counter)
    """By kind of crash."""
    before_any_plan: int = 0
    """Crashes after which there was nothing to go on with, and nobody was told otherwise."""
    acknowledged: int = 0
    """Reports that had been told to be on disk, over all points."""
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)


def recover_all(
    scheduler: str, folder: Path, *, every: int = 1, offset: int = 0
) -> tuple[Found, int]:
    """Go on with the run of every crash (or each n-th); what was found, and how many there are."""
    undisturbed = folder / "undisturbed"
    undisturbed.mkdir()
    experiment = small_experiment(scheduler)
    with RunDirectory.claim(undisturbed, "run") as run:
        go_on(prepare(experiment, experiment.plan(), run, lambda _event: None))
    expected = list(read_events(undisturbed / "run" / JOURNAL))
    storage = folder / "recorded"
    storage.mkdir()
    events, crashes = crashes_of(scheduler, storage)
    found = Found()
    for crash in crashes[offset::every]:
        found.points[crash.kind] += 1
        target = folder / "crashed"
        put(crash.image, target)
        try:
            for problem in check(target / "run", events[: crash.told], expected, found):
                where = f"{crash.kind} at {crash.operation} {crash.number}"
                found.wrong.append(f"{scheduler}, {where}: {problem}")
        finally:
            shutil.rmtree(target)
    return found, len(crashes)


def check(run: Path, told: list[Event], expected: list[Event], found: Found) -> Iterator[str]:
    """Go on with a run that a crash left, and tell what is not as if there had been none."""
    for lock in run.glob(".lock*"):
        utime(lock, (0, 0))  # the machine was away for a while
    try:
        with (
            patch("os.fsync"),  # what comes now meets no crash
            RunDirectory.reopen(run) as reopened,
        ):
            go_on(recorder_of(reopened, lambda _event: None))
    except ResultsError as error:
        found.before_any_plan += 1
        if told:
            yield f"{len(told)} events had been told to be on disk, but: {error}"
        return
    events = list(read_events(run / JOURNAL))
    kept = {_key(event) for event in events if event["event"] == "report"}
    acknowledged = [_key(event) for event in told if event["event"] == "report"]
    found.acknowledged += len(acknowledged)
    found.lost += len([key for key in acknowledged if key not in kept])
    heard = [repr(event) for event in events if event["event"] != "file"]
    if heard[: len(told)] != [repr(decode(encode(event))) for event in told]:
        yield "events that had been told to be on disk are not what the journal begins with"
    rows = pq.read_table(run / "reports.parquet", columns=["trial_id", "report"]).to_pylist()
    counts = Counter((row["trial_id"], row["report"]) for row in rows)
    found.duplicated += sum(counts.values()) - len(counts)
    if reports_of(events) != reports_of(expected) or set(counts) != set(reports_of(expected)):
        yield "the reports are not those of a run without a crash"
    if differing(decided(events), decided(expected)):
        yield "the decisions are not those of a run without a crash"
    yield from (f"{event['what']}" for event in events if event["event"] == "anomaly")
    yield from (f"{problem.path} {problem.what}" for problem in verify_run(run).problems)


def _key(event: Any) -> tuple[str, int, int]:
    return event["trial_id"], event["report"], event["attempt"]
