"""What a report and a trial cost the driver's own part, in CPU time; no Ray, no training.

    nice -n 10 python -m benchmarks.scale_driver

The real recorder, journal, tables and decision makers are fed made-up answers of realistic length
(24 hyperparameters and metrics). CPU time is counted by part. What waits for the disk is no CPU
time, so the flush of a journal line is timed apart, by the clock.
"""

import dataclasses
import hashlib
import os
import statistics
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from raytune_pipe.experiment import Experiment
from raytune_pipe.results import journal as journal_module
from raytune_pipe.results.journal import Journal
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.runner import prepare
from raytune_pipe.tuning.running import Publishing

from benchmarks import journal_scale

EPOCHS = 27
AT_ONCE = 100
SCHEDULERS: dict[str, dict[str, Any]] = {
    "fifo": {"kind": "fifo"},
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3},
    "pbt": {"kind": "pbt", "interval_epochs": 3, "quantile": 0.25},
}


class Parts:
    """CPU seconds of this thread by part; what a part calls of another counts for that one."""

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._inner = 0.0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its CPU time counted."""

        def call(*arguments: Any, **named: Any) -> Any:
            began, outer, self._inner = time.thread_time(), self._inner, 0.0
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time() - began
                self.cpu_s[name] += took - self._inner
                self.calls[name] += 1
                self._inner = outer + took

        return call


@contextmanager
def counted(*, flush: bool) -> Iterator[Parts]:
    """Count the driver's work by part; without ``flush``, nothing waits for the disk."""
    parts = Parts()
    targets = {
        "journal": (Journal, "append"),
        "encoding": (journal_module, "encode"),
        "tables": (RunDirectory, "_note"),
        "checkpoints": (RunDirectory, "collect_garbage"),
        "publishing": (RunDirectory, "publish"),
        "recorder": (Recorder, "on_answer"),
        "starting": (Recorder, "assign"),
    }
    with ExitStack() as stack:
        if not flush:
            stack.enter_context(patch("os.fsync"))
        for name, (owner, attribute) in targets.items():
            function = parts.timed(name, getattr(owner, attribute))
            stack.enter_context(patch.object(owner, attribute, function))
        yield parts


def experiment_of(scheduler: dict[str, Any], trials: int) -> Experiment:
    """The experiment of `journal_scale` under a scheduler; a population searches what can move."""
    plain = journal_scale.experiment_of(trials, EPOCHS).model_dump(mode="json")
    if scheduler["kind"] == "pbt":
        fixed = ("model.widths", "schedule")
        space = plain["search_space"]
        plain["search_space"] = {name: space[name] for name in space if name not in fixed}
    return Experiment.model_validate(plain | {"scheduler": scheduler}, strict=False)


def answer(recorder: Recorder, trial_id: str, number: int, epoch: int) -> Answer:
    """An epoch as a worker would tell it, with a checkpoint where the trainer writes one."""
    plain = journal_scale.answer(trial_id, number, recorder.trials[trial_id].values)
    milestones = recorder.experiment.scheduler.milestones(EPOCHS)
    path = f"checkpoints/{trial_id}/{number}.pt"
    digest = hashlib.sha256(path.encode()).hexdigest()
    is_saved = epoch in milestones or epoch == EPOCHS
    checkpoint: Any = {"path": path, "sha256": digest, "bytes": 40_000} if is_saved else None
    return dataclasses.replace(plain, epoch=float(epoch), checkpoint=checkpoint)


def drive(recorder: Recorder, at_once: int, publishing: Publishing) -> int:
    """Have all trials train, so many at once, an epoch each in turn; returns the reports."""
    trials = recorder.trials
    queue, training = deque(trials), deque[str]()
    epochs = dict.fromkeys(trials, 0)
    reports = 0
    while queue or training:
        while queue and len(training) < at_once:
            training.append(queue.popleft())
            recorder.assign(training[-1]).to_text()
            recorder.on_start(training[-1])
        trial = training.popleft()
        epochs[trial] += 1
        reports += 1
        text = answer(recorder, trial, trials[trial].reports + 1, epochs[trial]).to_text()
        decisions = recorder.on_answer(trial, Answer.from_text(text))
        named = {decision.trial: decision for decision in decisions}
        if trial not in named:
            training.append(trial)
        for name, decision in named.items():
            if decision.action == "exploit" and decision.checkpoint:
                epochs[name] = int(decision.rung or 0)
                queue.append(name)
            elif decision.action == "go_on":
                (training if name == trial else queue).append(name)
        publishing.publish_if_due()
    return reports


@dataclasses.dataclass(frozen=True)
class Cost:
    """CPU microseconds by part, and what they are spread over."""

    trials: int
    reports: int
    plan_us: float
    """A trial's planning, before the run."""
    start_us: float
    """A trial's assignment."""
    report_us: dict[str, float]
    """A report's, by part; starts and ends of trials are spread over their reports."""
    publish_s: float
    """One publishing of all tables, at the end."""


def cost_of(scheduler: str, trials: int, *, at_once: int = AT_ONCE, flush: bool = False) -> Cost:
    """Measure one run."""
    experiment = experiment_of(SCHEDULERS[scheduler], trials)
    with tempfile.TemporaryDirectory() as folder, counted(flush=flush) as parts:
        began = time.thread_time()
        plan = experiment.plan()
        with RunDirectory.claim(Path(folder), "run") as run:
            recorder = prepare(experiment, plan, run, lambda _event: None)
            planned = time.thread_time() - began
            recorder.maker.on_report = parts.timed(  # type: ignore[method-assign]  # timed in its place
                "decision", recorder.maker.on_report
            )
            parts.cpu_s.clear()
            reports = drive(recorder, at_once, Publishing(recorder))
            spent = dict(parts.cpu_s)
            began = time.thread_time()
            recorder.publish()
            publish_s = time.thread_time() - began
    starting = spent.pop("starting") / parts.calls["starting"]
    return Cost(
        trials=trials,
        reports=reports,
        plan_us=1e6 * planned / trials,
        start_us=1e6 * starting,
        report_us={name: 1e6 * each / reports for name, each in spent.items()},
        publish_s=publish_s,
    )


def flush_ms(folder: Path, count: int = 300) -> list[float]:
    """Milliseconds by the clock of appending a report's line and flushing it, sorted."""
    descriptor = os.open(folder / "flushed", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        os.write(descriptor, b"x" * 1200)
        os.fsync(descriptor)
        taken.append(1e3 * (time.perf_counter() - began))
    os.close(descriptor)
    return sorted(taken)


@click.command()
@click.option("--trials", default=(100, 1_000, 10_000), multiple=True, show_default=True)
@click.option("--scheduler", "schedulers", default=tuple(SCHEDULERS), multiple=True)
def main(trials: tuple[int, ...], schedulers: tuple[str, ...]) -> None:
    """Print the cost of a report by part, for each size and scheduler."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        taken = flush_ms(Path(folder))
    tenths = statistics.quantiles(taken, n=10)
    print(
        f"a flush, by the clock: median {tenths[4]:.2f} ms, nine in ten within {tenths[8]:.2f} ms"
    )
    names = ("encoding", "journal", "tables", "decision", "checkpoints", "recorder", "publishing")
    print(
        f"\n{'':5} trials reports  plan start |{''.join(f'{name:>12}' for name in names)}   all us"
    )
    cost_of("asha", 10)  # whatever is imported late is imported now
    for scheduler in schedulers:
        for size in trials:
            cost = cost_of(scheduler, size)
            each = [cost.report_us.get(name, 0.0) for name in names]
            print(
                f"{scheduler:5} {size:6} {cost.reports:7} {cost.plan_us:5.0f}"
                f"{cost.start_us:6.0f} |"
                f"{''.join(f'{value:12.0f}' for value in each)} {sum(each):8.0f}"
                f"   tables written in {cost.publish_s:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
