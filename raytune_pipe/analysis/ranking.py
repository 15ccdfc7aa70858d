"""What a ranking says, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.verdicts import Verdict


@dataclass(frozen=True)
class HyperparameterImportance:
    """What one hyperparameter does to the objective, as fractions of the explained variance."""

    name: str
    first: Estimate
    """By itself (first-order)."""
    total: Estimate
    """With its interactions."""


@dataclass(frozen=True)
class PairImportance:
    """What two hyperparameters do only together, as a fraction of the explained variance."""

    names: tuple[str, str]
    share: Estimate


@dataclass(frozen=True)
class Importance:
    """A ranking of the hyperparameters, or the reason why there is none."""

    objective: str
    """What the variance is of, in words."""
    method: str
    """How the shares came about, in a line; empty where nothing was fitted."""
    trials: int
    """Usable trials."""
    rows: int
    """What the estimator was fitted to: as many trials, or the segments of a population."""
    r2: Estimate | None
    """Cross-validated over trials; None where there was too little to fit."""
    refused: str | None
    """Why nothing is ranked; the rest is then empty."""
    effective_trials: float | None = None
    """How many trials that ran to their end the data are worth."""
    unexplained: Estimate | None = None
    """Share of the variance left by held-out predictions: seed noise and what was not found."""
    seed_noise: Estimate | None = None
    """Share of it between trials of equal hyperparameters; None without enough of these."""
    floor: float = 0.0
    """Shares up to here come of nothing: 95 % of those in shuffled data are smaller."""
    ranking: tuple[HyperparameterImportance, ...] = ()
    """Most important first, by total share."""
    tiers: tuple[tuple[str, ...], ...] = ()
    """The ranking, parted where the data can tell all above from all below."""
    verdicts: tuple[Verdict, ...] = ()
    """An order for each pair of hyperparameters, and how sure it is."""
    context: tuple[HyperparameterImportance, ...] = ()
    """What is not a hyperparameter, such as a segment's generation: its shares of all that is
    explained, while those of hyperparameters are of what it does not explain by itself."""
    pairs: tuple[PairImportance, ...] = ()
    """Interactions, the strongest first; the smallest are left out."""
    coverage: Mapping[str, float] = field(default_factory=dict)
    """The fraction of each range that trials cover, see `design_coverage`; 1 is even."""
    notes: tuple[str, ...] = ()
    """What was done with trials that did not simply finish."""

    @property
    def above(self) -> dict[str, dict[str, float]]:
        """``above[a][b]``: the probability that a's total share exceeds b's."""
        above: dict[str, dict[str, float]] = {one.name: {} for one in self.ranking}
        for one in self.verdicts:
            above[one.higher][one.lower] = one.probability
            above[one.lower][one.higher] = 1 - one.probability
        return above

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; an estimate is a mapping of value, low and high."""
        return {name: _plain(value) for name, value in vars(self).items()}

    def to_frame(self) -> pd.DataFrame:
        """One row a hyperparameter, most important first; first-order and total with intervals."""
        columns = ["first", "first_low", "first_high", "total", "total_low", "total_high", "tier"]
        tier_of = {name: 1 + tier for tier, names in enumerate(self.tiers) for name in names}
        rows = [[*one.first, *one.total, tier_of[one.name]] for one in self.ranking]
        names = pd.Index([one.name for one in self.ranking], name="name")
        frame = pd.DataFrame(rows, index=names, columns=columns, dtype=float)
        return frame.astype({"tier": "int64"})


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value._asdict()
    if isinstance(value, Verdict):
        return value.to_mapping()
    if isinstance(value, HyperparameterImportance | PairImportance):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
