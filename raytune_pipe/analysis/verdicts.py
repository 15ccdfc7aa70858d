"""Which hyperparameter matters more than which, as far as the resamples can tell them apart."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESOLVED = 0.95
"""Least probability with which an order is asserted."""
DEVIATIONS = 1.645
"""Standard deviations of a difference that make it resolved."""
MOST_MORE = 20
"""Beyond so many times the trials there are, more trials are no advice."""


@dataclass(frozen=True)
class Verdict:
    """An order of two hyperparameters by their total shares."""

    higher: str
    """The one of the larger share."""
    lower: str
    probability: float
    """That the share of ``higher`` is the larger one."""
    more_trials: int | None
    """About how many more would resolve it; 0 where it is resolved, None where no sensible number
    would: they differ by too little, or what is hidden decides."""

    @property
    def is_resolved(self) -> bool:
        """Whether the order is asserted."""
        return self.probability >= RESOLVED

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "is_resolved": self.is_resolved}


def probabilities(totals: Array) -> Array:
    """The fraction of resamples in which one exceeds another, ``[axes, axes]``; a tie counts half.

    ``totals`` is ``[resamples, axes]``.
    """
    signs = np.sign(totals[:, :, None] - totals[:, None, :])
    above: Array = ((signs + 1) / 2).mean(axis=0)
    return above


def verdicts_of(
    names: Sequence[str], values: Array, totals: Array, seen: Array, trials: int
) -> tuple[Verdict, ...]:
    """One for each pair of ``names``, which are in falling order of their ``values``.

    ``totals`` is ``[resamples, axes]``, and ``seen`` the same without what is hidden. The variance
    of a difference that is seen falls with the number of trials; what is hidden adds to it and
    stays.
    """
    above = probabilities(totals)
    found = []
    for high in range(len(names)):
        for low in range(high + 1, len(names)):
            first, second = (high, low) if above[high, low] >= 0.5 else (low, high)
            needed = _more_trials(
                values[high] - values[low],
                variance=float(np.var(totals[:, high] - totals[:, low])),
                falling=float(np.var(seen[:, high] - seen[:, low])),
                trials=trials,
            )
            probability = float(above[first, second])
            resolved = probability >= RESOLVED
            more = 0 if resolved else needed
            found.append(Verdict(names[first], names[second], probability, more))
    return tuple(found)


def _more_trials(difference: float, variance: float, falling: float, trials: int) -> int | None:
    left = (difference / DEVIATIONS) ** 2 - max(variance - falling, 0.0)
    if left <= 0 or falling > (1 + MOST_MORE) * left:
        return None
    more = trials * (falling / left - 1)
    # Two digits, and one trial at least: the resamples say that it is not resolved.
    return max(int(float(f"{max(more, 1):.1e}")), 1)


def tiers_of(names: Sequence[str], totals: Array) -> tuple[tuple[str, ...], ...]:
    """Names, in falling order, cut wherever all above exceed all below with certainty enough."""
    above = probabilities(totals)
    cuts = [place for place in range(1, len(names)) if (above[:place, place:] >= RESOLVED).all()]
    bounds = [0, *cuts, len(names)]
    return tuple(tuple(names[start:end]) for start, end in itertools.pairwise(bounds))
