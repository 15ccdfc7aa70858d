"""What the journal says of one trial so far."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any

from raytune_pipe.base import Value
from raytune_pipe.results.events import EndEvent, ReportEvent, Status, WarningKind


class ReportRows:
    """Where each report of a trial stands in the table of reports: 24 bytes a report."""

    def __init__(self) -> None:
        self.best: int | None = None
        """The report of the lowest score, the first of equals; None if every score is NaN."""
        self._count = 0
        self._positions = array("q")
        """By number of the report, from 1; below 0 where there is none."""
        self._attempts = array("q")
        self._scores = array("d")

    def __len__(self) -> int:
        return self._count

    def put(self, report: int, position: int, attempt: int, score: float) -> int | None:
        """Note a report; the position that gives way, if this report was made before.

        The higher attempt stays, the later one of equals.
        """
        missing = report - len(self._positions)
        self._positions.extend([-1] * missing)
        self._attempts.extend([-1] * missing)
        self._scores.extend([nan] * missing)
        index = report - 1
        before = self._positions[index]
        if before >= 0 and self._attempts[index] > attempt:
            return position
        self._count += before < 0
        self._positions[index], self._attempts[index] = position, attempt
        self._scores[index] = score
        if self.best is None or report <= self.best or score < self._scores[self.best - 1]:
            self.best = self._find_best() if before >= 0 else self._better(report)
        return before if before >= 0 else None

    def position(self, report: int) -> int:
        """Where it stands in the table of reports."""
        return self._positions[report - 1]

    def _better(self, report: int) -> int | None:
        score = self._scores[report - 1]
        if score != score:
            return self.best
        if self.best is None or (score, report) < (self._scores[self.best - 1], self.best):
            return report
        return self.best

    def _find_best(self) -> int | None:
        finite = [number for number, score in enumerate(self._scores, 1) if score == score]
        return min(finite, key=lambda number: self._scores[number - 1], default=None)


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
    rows: ReportRows = field(default_factory=ReportRows)
    last: ReportEvent | None = None
    last_with_checkpoint: ReportEvent | None = None
    rung: float | None = None
    bracket: int | None = None
    warnings: dict[WarningKind, str] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """How it ended; running or interrupted where it has not."""
        if self.end:
            return self.end["status"]
        return "interrupted" if self.interrupted else "running"

    def scored_position(self, at_best: bool) -> int | None:
        """Where the report stands that the trial is judged by: its best one or its last one."""
        if at_best and self.rows.best is not None:
            return self.rows.position(self.rows.best)
        return self.rows.position(self.last["report"]) if self.last else None

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
            "best_report": self.rows.best,
            "segments": last["segment"] + 1 if last else 0,
            "attempts": self.attempts,
            "warnings": "\n".join(map(": ".join, self.warnings.items())) or None,
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
