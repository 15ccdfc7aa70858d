"""What decision makers take and give: reports in, decisions out.

The adapter to Ray Tune, the replay after a kill and a simulated cluster all call these methods.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from raytune_pipe.base import Value
from raytune_pipe.search_space import Values

TrialId = str
Action = Literal["go_on", "stop", "wait", "exploit"]


def trial_id_of(number: int) -> TrialId:
    """The id of an experiment's trial of a number, from 00000."""
    return f"{number:05d}"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint file of the trainer's, verified against its hash."""

    path: str
    """Relative to the run directory."""
    sha256: str


@dataclass(frozen=True)
class Report:
    """What a trial says at the end of an epoch, as far as decisions need it."""

    trial: TrialId
    number: int
    """Counts this trial's reports from 1 and never goes back."""
    epoch: float
    """Age of the weights in passes over the data; may go back after an exploit."""
    score: float
    """The objective, lower is better; NaN when the trial has diverged."""
    values: Values
    """The searched hyperparameters in force."""
    checkpoint: Checkpoint | None = None


class Change(NamedTuple):
    """One hyperparameter that a decision changes."""

    name: str
    operation: Literal["copy", "perturb", "resample", "select"]
    before: Value
    after: Value


@dataclass(frozen=True)
class Decision:
    """What one trial does next.

    ``go_on`` trains on (and releases a trial that waited), ``stop`` ends it early, ``wait`` holds
    it until a later decision names it, ``exploit`` makes it start again from the donor's checkpoint
    with ``values``.
    """

    trial: TrialId
    action: Action
    diverged: bool = False
    """With ``stop``: the trial ends as diverged, not as stopped early."""
    rung: float | None = None
    """The epoch at which this was decided; None where nothing was up for decision."""
    bracket: int | None = None
    cutoff: float | None = None
    """The score that had to be reached."""
    donor: TrialId | None = None
    donor_report: int | None = None
    checkpoint: Checkpoint | None = None
    values: Values | None = None
    """All searched hyperparameters from now on."""
    changes: tuple[Change, ...] = field(default=())


class DecisionMaker(Protocol):
    """Decides what trials do next: a pure function of the seed and of the order of events."""

    def on_report(self, report: Report) -> list[Decision]:
        """Decide on this trial, and on every other that its report releases."""
        ...

    def on_end(self, trial: TrialId) -> list[Decision]:
        """Note that the trial has ended, for whatever reason; decide on those it releases."""
        ...

    def donors(self) -> Iterable[Report]:
        """The reports whose checkpoints a later decision may still name."""
        ...
