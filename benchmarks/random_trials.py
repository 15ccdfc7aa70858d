"""Everything that can happen to the trials of a run, in random order, through the real recorder.

Workers answer well, badly or not at all; processes, nodes and checkpoints are lost; the driver dies
at any event or in the middle of a write, and goes on. A listener checks every transition.

    python -m benchmarks.random_trials --sequences 10000
"""

import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import Event, FailureKind
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.scheduling.decisions import Decision
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

from benchmarks.simulated_run import Worker, experiment_of
from benchmarks.trial_transitions import TRANSITIONS, IllegalTransition, TransitionChecker

SCHEDULERS: tuple[dict[str, Any], ...] = (
    {"kind": "fifo"},
    {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    {"kind": "hyperband", "reduction_factor": 2},
    {"kind": "median", "min_trials": 2},
    {"kind": "pbt", "interval_epochs": 2, "quantile": 0.25},
    {"kind": "pbt", "interval_epochs": 2, "quantile": 0.5, "synchronous": False},
    {"kind": "pb2", "interval_epochs": 2, "quantile": 0.25},
    {"kind": "pb2", "interval_epochs": 2, "quantile": 0.5, "synchronous": False},
)
KINDS: tuple[FailureKind, ...] = (
    "exception",
    "worker_died",
    "out_of_memory",
    "timed_out",
    "node_lost",
    "checkpoint_lost",
)
RETRIES = {"exception": 1, "worker_died": 2, "out_of_memory": 0, "timed_out": 1}
SLOTS = 2
MOST_STEPS = 400
CRASHES_AT_MOST = 4


class Crash(BaseException):
    """The driver is gone."""


@dataclass
class World:
    """One run with all that happens to it."""

    folder: Path
    rng: random.Random
    checker: TransitionChecker = field(default_factory=TransitionChecker)
    crashes: int = 0
    holding: dict[str, Worker] = field(default_factory=dict)
    """The trials that hold a worker."""
    queue: list[str] = field(default_factory=list)
    """The trials that wait for one."""
    crash_in: int | None = None
    """Events until the driver dies."""
    tear_next: bool = False
    """Whether it dies in the middle of its next write."""

    def __post_init__(self) -> None:
        self._diverging = self.rng.choice((0.03, 0.1, 0.7))
        """The share of epochs that diverge."""

    def hear(self, event: Event) -> None:
        """Check an event; die where that is its turn."""
        self.checker.hear(event)
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                self.crash_in = None
                raise Crash

    def write(self, write: Callable[[int, Any], int], descriptor: int, data: Any) -> int:
        """Write, or die in the middle of it."""
        if self.tear_next and b'"event":' in bytes(data):
            self.tear_next = False
            write(descriptor, bytes(data)[: self.rng.randrange(len(data))])
            raise Crash
        return write(descriptor, data)

    def run(self, experiment: Experiment) -> None:
        """Bring a run from its launch to its end, through every crash."""
        path = self.folder / experiment.name
        while True:
            self._plan_a_crash()
            try:
                self._launch_or_go_on(experiment, path)
                break
            except Crash:
                self.crashes += 1
        self.checker.require_all_ended()
        self._replay(path)

    def _launch_or_go_on(self, experiment: Experiment, path: Path) -> None:
        if path.exists() and next(iter(read_events(path / JOURNAL)), None) is None:
            shutil.rmtree(path)  # nothing was planned
        if not path.exists():
            with RunDirectory.claim(self.folder, experiment.name) as run:
                self._live(prepare(experiment, experiment.plan(), run, self.hear))
            return
        with RunDirectory.reopen(path) as run:
            self._catch_up(path)
            self._live(recorder_of(run, self.hear))

    def _catch_up(self, path: Path) -> None:
        """Let the checker hear what a torn write had brought to disk and nobody had heard."""
        events = (event for event in read_events(path / JOURNAL) if event["event"] != "file")
        for event in islice(events, self.checker.heard, None):
            self.checker.hear(event)

    def _plan_a_crash(self) -> None:
        self.crash_in, self.tear_next = None, False
        if self.crashes < CRASHES_AT_MOST and self.rng.random() < 0.7:
            if self.rng.random() < 0.3:
                self.tear_next = True
            else:
                self.crash_in = self.rng.randint(1, 25)

    def _replay(self, path: Path) -> None:
        """Once more: what is recorded must come out of itself."""
        before = len(list(read_events(path / JOURNAL)))
        with RunDirectory.reopen(path) as run:
            recorder_of(run, lambda _event: None)
        for event in islice(read_events(path / JOURNAL), before, None):
            if event["event"] != "resume":
                raise IllegalTransition(f"a replay adds {event}")

    def _live(self, recorder: Recorder) -> None:
        """All that happens between a start of the driver and its end."""
        self.holding.clear()
        trials = recorder.trials
        self.queue = [name for name, one in trials.items() if not (one.has_ended or one.waiting)]
        for _ in range(MOST_STEPS):
            if recorder.is_finished:
                return
            if not self.queue and not self.holding:
                raise IllegalTransition(f"nothing goes on, but some have not ended: {trials}")
            self._happen(recorder)
        raise IllegalTransition("a run that does not end")

    def _happen(self, recorder: Recorder) -> None:
        draw = self.rng.random()
        if self.queue and len(self.holding) < SLOTS and draw < 0.6:
            self._start(recorder)
        elif self.holding and draw < 0.9:
            self._answer(recorder, self.rng.choice(list(self.holding)))
        elif self.holding and draw < 0.95:
            trial = self.rng.choice(list(self.holding))
            self._apply(recorder, trial, recorder.on_failure(trial, self._failure()))
        elif draw < 0.96:
            for trial in list(self.holding):  # Ray Tune ends, and all workers with it
                failure = Failure("node_lost", "gone", "")
                self._apply(recorder, trial, recorder.on_failure(trial, failure))
        elif draw < 0.98:
            self._come_late(recorder)
        elif draw < 0.987:
            self._lose_a_checkpoint(recorder)
        elif draw < 0.988:
            recorder.publish()
        elif draw < 0.99 and self.crashes < CRASHES_AT_MOST:
            raise Crash

    def _start(self, recorder: Recorder) -> None:
        trial = self.queue.pop(self.rng.randrange(len(self.queue)))
        assignment = recorder.assign(trial)
        if self.rng.random() < 0.03:  # its worker dies before Ray can tell of its start
            self._apply(recorder, trial, recorder.on_failure(trial, self._failure()))
            return
        recorder.on_start(trial)
        try:
            self.holding[trial] = Worker(assignment)
        except FileNotFoundError:
            failure = Failure("checkpoint_lost", "no file", "")
            self._apply(recorder, trial, recorder.on_answer(trial, Answer(failure=failure)))

    def _answer(self, recorder: Recorder, trial: str) -> None:
        self._apply(recorder, trial, recorder.on_answer(trial, self._draw(self.holding[trial])))

    def _draw(self, worker: Worker) -> Answer:
        """An epoch of a worker: mostly good, sometimes diverged, useless or a failure."""
        draw = self.rng.random()
        if draw > 0.96:
            return Answer(failure=self._failure())
        answer = vars(worker.answer())
        metrics: dict[str, Any] = {"val_loss": self.rng.choice((self.rng.random(), 0.5))}
        if draw < self._diverging:
            metrics["val_loss"] = self.rng.choice((float("nan"), float("inf")))
            answer |= {"checkpoint": None, "verdict": self.rng.choice((None, "not_a_number"))}
        elif draw < self._diverging + 0.03:
            answer["verdict"] = self.rng.choice(("patience", "divergence"))
        elif draw < self._diverging + 0.04:
            metrics = {"something_else": 1.0}
        elif draw < self._diverging + 0.05:
            answer["values_in_force"] = {"optimizer.lr": 0.5}
        elif draw < self._diverging + 0.25 and not answer["checkpoint"]:
            answer["checkpoint"] = worker.save()
        return Answer(**{**answer, "metrics": metrics})

    def _failure(self) -> Failure:
        return Failure(self.rng.choice(KINDS), "it failed", "Traceback")

    def _apply(self, recorder: Recorder, trial: str, decisions: list[Decision]) -> None:
        """Do what was decided, as the adapter to Ray does it."""
        progress = recorder.trials[trial]
        own = [decision.action for decision in decisions if decision.trial == trial]
        if progress.has_ended or progress.start_due or set(own) - {"go_on"}:
            self.holding.pop(trial, None)
        if progress.start_due or own == ["exploit"]:
            self.queue.append(trial)
        for decision in decisions:
            if decision.trial != trial and decision.action in ("go_on", "exploit"):
                self.queue.append(decision.trial)

    def _come_late(self, recorder: Recorder) -> None:
        """A worker answers or fails whose trial has ended: nothing may come of it."""
        ended = [trial for trial, one in recorder.trials.items() if one.has_ended]
        if ended:
            trial, before = self.rng.choice(ended), self.checker.heard
            late = self.rng.choice((Answer(99, 9.0, 9, {"val_loss": 0.1}, {}), self._failure()))
            if isinstance(late, Failure):
                decisions = recorder.on_failure(trial, late)
            else:
                decisions = recorder.on_answer(trial, late)
            if decisions or self.checker.heard != before:
                raise IllegalTransition(f"trial {trial} has ended, and something came of {late}")

    def _lose_a_checkpoint(self, recorder: Recorder) -> None:
        files = sorted(recorder.run.checkpoints.glob("*/*.pt"))
        if files:
            self.rng.choice(files).unlink()


@cache
def _experiment(number: int) -> Experiment:
    return experiment_of(SCHEDULERS[number], trials=4, epochs=5, retries=RETRIES)


_to_yaml = Experiment.to_yaml


@cache
def _yaml_of(text: str) -> str:
    return _to_yaml(Experiment.model_validate_json(text))


@contextmanager
def _in_memory(world: World) -> Iterator[None]:
    """Writes that can be torn, and that nothing is waited for: a power cut is no part of this.

    The YAML of an experiment, half of the time otherwise, is made once.
    """
    write = os.write
    with (
        patch.object(Experiment, "to_yaml", lambda one: _yaml_of(one.model_dump_json())),
        patch.object(os, "write", lambda fd, data: world.write(write, fd, data)),
        patch.object(os, "fsync", lambda _descriptor: None),
    ):
        yield


def run_sequences(count: int, folder: Path, first: int = 0) -> Counter[tuple[str, str]]:
    """Run so many random sequences; how often each transition was seen.

    Raises:
        IllegalTransition: with the number of the sequence, which brings it about again.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for number in range(first, first + count):
        world = World(folder / str(number), random.Random(number))
        try:
            with _in_memory(world):
                world.run(_experiment(number % len(SCHEDULERS)))
        except IllegalTransition as error:
            raise IllegalTransition(f"sequence {number}: {error}") from error
        seen += world.checker.seen
        shutil.rmtree(world.folder)
    return seen


@click.command()
@click.option("--sequences", default=10_000, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first sequence.")
def main(sequences: int, first: int) -> None:
    """Run, print what was seen; exit with 1 at the first illegal transition."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="random-trials-") as folder:
        seen = run_sequences(sequences, Path(folder), first)
    print("| state | what happens | times |\n| --- | --- | --- |")
    for (state, what), times in sorted(seen.items()):
        print(f"| {state} | {what} | {times} |")
    seconds = time.monotonic() - started
    print(f"\n{sequences} sequences, {seen.total()} transitions, 0 illegal, {seconds:.0f} s")
    if missing := TRANSITIONS.keys() - seen.keys():
        sys.exit(f"never seen: {sorted(missing)}")


if __name__ == "__main__":
    main()
