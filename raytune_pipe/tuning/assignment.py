"""What a worker is told to do, and what it answers: small JSON texts, so that Ray copies little."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

from raytune_pipe.base import Value, to_json
from raytune_pipe.results.events import CheckpointReference, FailureKind, WarningKind
from raytune_pipe.scheduling.decisions import Checkpoint

MOST_REASON = 500
"""Characters of the line that says why an attempt failed."""
MOST_ERROR = 64 * 1024
"""Characters of a traceback."""


@dataclass(frozen=True)
class Assignment:
    """A stretch of training: which trial, with what configuration, from which checkpoint."""

    trial_id: str
    trial: dict[str, Any]
    """The resolved `Trial`, plain values."""
    directory: str
    """The run directory, absolute; checkpoints lie beneath it."""
    reports: int
    """How many reports the trial has made so far; they never go back."""
    milestones: tuple[int, ...]
    """Epochs at which a checkpoint is written, as a decision or the best score may need it."""
    checkpoint_seconds: float
    start_from: Checkpoint | None = None
    attempt: int = 0
    device: str = "cpu"
    gpu_memory_gib: float | None = None
    """What PyTorch may take of the GPU; None is all."""
    threads: int = 1
    timeout_s: float | None = None
    """Longest time that an epoch may take, with all that comes before it; None is no limit."""
    workers: int = 1
    """Processes that train the trial together."""

    def to_text(self) -> str:
        """JSON; the inverse of `from_text`."""
        return to_json(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Rebuild from JSON."""
        mapping = json.loads(text)
        start_from = mapping["start_from"] and Checkpoint(**mapping["start_from"])
        milestones = tuple(mapping["milestones"])
        return cls(**mapping | {"start_from": start_from, "milestones": milestones})


@dataclass(frozen=True)
class Failure:
    """Why a trial cannot go on, as its worker or the cluster saw it."""

    kind: FailureKind | Literal["storage"]
    """storage: its checkpoint could not be written, which ends the run, not the trial."""
    reason: str
    """One line."""
    error: str
    """The traceback."""

    def shortened(self) -> Self:
        """The same, fit for a journal: a text of megabytes keeps its first and its last lines."""
        reason = (
            self.reason if len(self.reason) <= MOST_REASON else f"{self.reason[:MOST_REASON]}..."
        )
        left_out = len(self.error) - MOST_ERROR
        if left_out <= 0:
            return replace(self, reason=reason)
        half = MOST_ERROR // 2
        middle = f"\n... ({left_out:,} characters left out) ...\n"
        return replace(self, reason=reason, error=self.error[:half] + middle + self.error[-half:])


@dataclass(frozen=True)
class Answer:
    """One epoch as the worker tells it, or the failure that ended it."""

    number: int = 0
    epoch: float = 0.0
    step: int = 0
    metrics: dict[str, float] | None = None
    values_in_force: dict[str, Value] | None = None
    """Every mutable hyperparameter by dotted name, read back from the live trainer."""
    verdict: str | None = None
    checkpoint: CheckpointReference | None = None
    failure: Failure | None = None
    warnings: dict[WarningKind, str] = field(default_factory=dict)
    """What the epoch gave cause for, by kind: one line each."""
    is_leaving: bool = False
    """Whether the worker's node will be taken away, so that the trial needs another worker."""

    def mismatch(self, expected: Mapping[str, Value]) -> str | None:
        """Which hyperparameter is not in force as it must be; None where all are."""
        in_force = self.values_in_force or {}
        for name, value in expected.items():
            if value is not None and name in in_force and in_force[name] != value:
                return f"{name}: must be {value} in the live trial, but got {in_force[name]}"
        return None

    def to_text(self) -> str:
        """JSON (NaN as Python writes it); the inverse of `from_text`."""
        return to_json(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Rebuild from JSON."""
        mapping = json.loads(text)
        if mapping["failure"]:
            mapping["failure"] = Failure(**mapping["failure"])
        return cls(**mapping)


class TrialFailed(Exception):
    """A failure on its way out of a process that is not to be used again.

    Ray hands on no more than the text of an exception, so the failure is all of that.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(to_json(asdict(failure.shortened())))
        self.failure = failure

    def __reduce__(self) -> tuple[type["TrialFailed"], tuple[Failure]]:
        return TrialFailed, (self.failure,)


def failure_told(text: str) -> Failure | None:
    """The failure of a `TrialFailed`, from Ray's text of it; None where it is of something else."""
    found = re.search(rf"\b{TrialFailed.__name__}: (\{{.*\}})$", text, re.M)
    return Failure(**json.loads(found[1])) if found else None
