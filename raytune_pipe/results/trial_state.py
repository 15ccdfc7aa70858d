"""What the journal says of one trial so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.results.events import EndEvent, ReportEvent, Status


class ReportRow(NamedTuple):
    """Where a report stands in the table of reports, and what decides whether it stays."""

    position: int
    attempt: int
    score: float


@dataclass
class TrialState:
    """One trial, from its plan to its end."""

    trial_id: str
    leaves: Mapping[str, Value]
    """The configuration it was planned with."""
    begun: bool = False
    attempts: int = 0
    started_at: float | None = None
    end: EndEvent | None = None
    interrupted: bool = False
    """Whether the launch has ended without it."""
    rows: dict[int, ReportRow] = field(default_factory=dict)
    """By number of the report."""
    last: ReportEvent | None = None
    last_with_checkpoint: ReportEvent | None = None
    rung: float | None = None
    bracket: int | None = None

    @property
    def status(self) -> Status:
        """How it ended; running or interrupted where it has not."""
        if self.end:
            return self.end["status"]
        return "interrupted" if self.interrupted else "running"

    def best_report(self) -> int | None:
        """The report of the lowest score, the first of equals; None if every score is NaN."""
        finite = {report: row.score for report, row in self.rows.items() if row.score == row.score}
        return min(finite, key=finite.__getitem__) if finite else None

    def scored_row(self, at_best: bool) -> ReportRow | None:
        """The report that the trial is judged by: its best one or its last one."""
        best = self.best_report() if at_best else None
        if best is None:
            return self.rows[self.last["report"]] if self.last else None
        return self.rows[best]

    def row(self) -> dict[str, Any]:
        """Its row in the table of trials, but for what the scored report says.

        The hyperparameters are those it was planned with.
        """
        last, end = self.last, self.end
        saved = self.last_with_checkpoint and self.last_with_checkpoint["checkpoint"]
        return {
            **self.leaves,
            "trial_id": self.trial_id,
            "status": self.status,
            "reason": end and end["reason"],
            "error": end and end["error"],
            "reports": len(self.rows),
            "best_report": self.best_report(),
            "segments": last["segment"] + 1 if last else 0,
            "attempts": self.attempts,
            "rung": self.rung,
            "bracket": self.bracket,
            "time_s": last and last["time_s"],
            "checkpoint": saved and saved["path"],
            "checkpoint_sha256": saved and saved["sha256"],
            "started_at": microseconds(self.started_at),
            "ended_at": microseconds(end["time"] if end else None),
        }


def microseconds(seconds: float | None) -> int | None:
    """A time in seconds as Arrow's timestamps count it."""
    return None if seconds is None else round(seconds * 1_000_000)
