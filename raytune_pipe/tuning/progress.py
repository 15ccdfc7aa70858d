"""Where each trial stands: a fold over its events, the same while it runs and in a replay."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isnan, nan

from raytune_pipe.base import Value
from raytune_pipe.components.searchers_tpe import Outcome, Past
from raytune_pipe.results.events import FailureKind, ReportEvent, RetryEvent, Status
from raytune_pipe.scheduling.decisions import Checkpoint, Decision


def checkpoint_of(event: ReportEvent) -> Checkpoint | None:
    """The checkpoint of a report, as decisions name it."""
    saved = event["checkpoint"]
    return Checkpoint(saved["path"], saved["sha256"]) if saved else None


_OUTCOMES: dict[Status, Outcome] = {
    "running": "running",
    "interrupted": "running",
    "completed": "finished",
    "stopped_early": "stopped",
    "timed_out": "stopped",
}
"""All others tell only that the configuration is of no use."""


@dataclass
class TrialProgress:
    """One trial, as far as its events have taken it."""

    values: dict[str, Value]
    """The searched hyperparameters that must be in force."""
    epochs: int
    """The budget, in passes over the data."""
    status: Status | None = None
    """None before the trial has started."""
    reason: str | None = None
    """Why it has ended."""
    reports: int = 0
    """The highest report so far; all up to it are decided on."""
    segment: int = 0
    attempt: int = 0
    time_s: float = 0.0
    """Seconds this trial has trained, whatever age its weights have."""
    verdict: str | None = None
    """What the trial's stop rules said of its latest epoch."""
    waiting: bool = False
    """Whether it is held until a later decision names it."""
    start_from: Checkpoint | None = None
    """What the next stretch of training starts from; None from nothing."""
    start_report: int = 0
    """The report that the next stretch of training comes after."""
    saved: list[tuple[int, Checkpoint]] = field(default_factory=list)
    """The checkpoints of this segment, each with its report."""
    score: float = nan
    """Of its latest report; lower is better."""
    best_score: float = nan
    """The lowest score of all; NaN before the first finite one."""
    epoch: float = 0.0
    """The age of its weights at its latest report."""
    failures: Counter[FailureKind] = field(default_factory=Counter)
    """How often it has started again, by what had failed."""
    start_due: bool = True
    """Whether the next worker to take it up begins an attempt, which the journal is told."""

    @property
    def is_saved(self) -> bool:
        """Whether its latest report has a checkpoint."""
        return self.start_report == self.reports

    @property
    def has_ended(self) -> bool:
        """Whether it has ended for good."""
        return self.status not in (None, "running")

    def past(self, *, at_best: bool) -> Past:
        """What a searcher that draws from results hears of it: its best score, or its latest."""
        outcome = _OUTCOMES.get(self.status or "running", "broken")
        score = self.best_score if at_best else self.score
        return Past(self.values, outcome, score=score, epoch=self.epoch)

    def take_report(self, event: ReportEvent) -> None:
        """Fold in a report, also one that is made again after a crash."""
        self.reports = max(self.reports, event["report"])
        self.time_s = event["time_s"]
        self.verdict = event["verdict"]
        self.score, self.epoch = event["score"], event["epoch"]
        if not event["score"] >= self.best_score and not isnan(event["score"]):
            self.best_score = event["score"]
        checkpoint = checkpoint_of(event)
        if checkpoint:
            self.start_from, self.start_report = checkpoint, event["report"]
            self.saved.append((event["report"], checkpoint))

    def take_decision(self, decision: Decision) -> None:
        """Fold in a decision on this trial; ends come as events of their own."""
        self.waiting = decision.action == "wait"
        if decision.action == "exploit":
            self.values = dict(decision.values or {})
            self.start_from, self.start_report = decision.checkpoint, self.reports
            self.segment += 1
            self.saved.clear()

    def lengthen(self, epochs: int) -> None:
        """Have a larger budget; go on where the one before was used up."""
        self.epochs = epochs
        if self.status == "completed" and self.reason == "budget":
            self.status, self.reason = "running", None
            self.begin_attempt()

    def take_retry(self, event: RetryEvent) -> None:
        """Fold in a failure after which it starts again."""
        self.failures[event["kind"]] += 1
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Have the next worker that takes it up begin a new attempt."""
        self.attempt += 1
        self.start_due = True

    def fall_back(self, is_whole: Callable[[str, str], bool]) -> Iterator[str]:
        """Leave checkpoints that are gone or damaged for the one before, in the end for nothing.

        ``is_whole`` is given a path and a SHA-256. Tells each that it leaves. A copy whose donor's
        file is gone has no earlier one, and trains its segment from nothing.
        """
        while (broken := self.start_from) and not is_whole(broken.path, broken.sha256):
            self.saved = [one for one in self.saved if one[1].path != broken.path]
            nothing = (self.reports if self.segment else 0, None)
            self.start_report, self.start_from = self.saved[-1] if self.saved else nothing
            start = self.start_from.path if self.start_from else "nothing"
            yield f"{broken.path} is gone or damaged: starts from {start}"
