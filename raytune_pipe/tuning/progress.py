"""Where each trial stands: a fold over its events, the same while it runs and in a replay."""

from dataclasses import dataclass, field

from raytune_pipe.base import Value
from raytune_pipe.results.events import ReportEvent, Status
from raytune_pipe.scheduling.decisions import Checkpoint, Decision


def checkpoint_of(event: ReportEvent) -> Checkpoint | None:
    """The checkpoint of a report, as decisions name it."""
    saved = event["checkpoint"]
    return Checkpoint(saved["path"], saved["sha256"]) if saved else None


@dataclass
class TrialProgress:
    """One trial, as far as its events have taken it."""

    values: dict[str, Value]
    """The searched hyperparameters that must be in force."""
    epochs: int
    """The budget, in passes over the data."""
    status: Status | None = None
    """None before the trial has started."""
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
    answered: bool = True
    """Whether a worker has trained an epoch of the latest assignment."""
    started_again: bool = False
    """Whether the latest assignment has been given out a second time."""
    start_due: bool = True
    """Whether the next worker to take it up begins an attempt, which the journal is told."""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended for good."""
        return self.status not in (None, "running")

    def take_report(self, event: ReportEvent) -> None:
        """Fold in a report, also one that is made again after a crash."""
        self.reports = max(self.reports, event["report"])
        self.time_s = event["time_s"]
        self.verdict = event["verdict"]
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

    def fall_back(self, to: tuple[int, Checkpoint] | None) -> None:
        """Start the next stretch of training from an earlier checkpoint, or from nothing.

        A copy whose donor's file is gone has no earlier one, and trains its segment from nothing.
        """
        self.start_report, self.start_from = to or (self.reports if self.segment else 0, None)
