"""The scale that scores are analyzed on: as they are, their logarithm, or their rank."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HEAVY_TAIL = 1.0
"""Skewness (third standardized moment) above which a positive score is taken on a log scale."""
HEAVIEST_TAIL = 2.5
"""Skewness, either way, above which a few scores would be all of the variance: ranks instead."""
FEWEST = 3
"""With fewer scores there is no tail to speak of."""


@dataclass(frozen=True)
class Scale:
    """What a score becomes before it is analyzed; always rising, so lower stays better."""

    kind: Literal["linear", "log", "rank"] = "linear"
    levels: Array = field(default_factory=lambda: np.zeros(0))
    """The scores from low to high, which ranks are read back from; empty on the other scales."""

    @property
    def words(self) -> str:
        """What stands before the name of the metric, such as ``log of ``."""
        return "" if self.kind == "linear" else f"{self.kind} of "

    def to_target(self, scores: Array) -> Array:
        """Scores on this scale, NaN where they have none; ranks are shares of the scores below."""
        if self.kind == "log":
            return np.log(scores, where=scores > 0, out=np.full_like(scores, np.nan))
        if self.kind == "linear":
            return scores
        below = np.searchsorted(self.levels, scores, side="left")
        up_to = np.searchsorted(self.levels, scores, side="right")
        return np.where(np.isnan(scores), np.nan, (below + up_to) / (2 * len(self.levels)))

    def to_score(self, targets: Array) -> Array:
        """The scores of these targets; ranks beyond the lowest and highest score give those."""
        if self.kind == "log":
            return np.exp(targets)
        if self.kind == "linear":
            return targets
        places = (np.arange(len(self.levels)) + 0.5) / len(self.levels)
        return np.interp(targets, places, self.levels)


LINEAR = Scale()


def scale_of(scores: Array) -> Scale:
    """The scale for these finite scores: the plainest without a heavy tail."""
    if len(scores) < FEWEST or np.ptp(scores) == 0:
        return LINEAR
    skewness, kind = _skewness(scores), "linear"
    if (scores > 0).all() and skewness > HEAVY_TAIL:
        of_log = _skewness(np.log(scores))
        if abs(of_log) < skewness:
            skewness, kind = of_log, "log"
    if abs(skewness) > HEAVIEST_TAIL:
        return Scale("rank", np.sort(scores))
    return Scale("log") if kind == "log" else LINEAR


def _skewness(values: Array) -> float:
    centered = values - values.mean()
    deviation = centered.std()
    return float(np.mean((centered / deviation) ** 3)) if deviation > 0 else 0.0
