"""Figures with intervals, from a value and the values that resampled trials give."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure with its 90 % interval."""

    value: float
    low: float
    high: float


class Estimates(NamedTuple):
    """Figures of one shape with their 90 % intervals."""

    value: Array
    low: Array
    high: Array

    def each(self) -> list[Estimate]:
        """One by one, in order; of a one-dimensional array."""
        return [Estimate(*map(float, one)) for one in zip(*self, strict=True)]

    def clipped(self, low: float, high: float) -> "Estimates":
        """The same, held within bounds."""
        return Estimates(*(np.clip(part, low, high) for part in self))

    def mapped(self, monotone: Callable[[Array], Array]) -> "Estimates":
        """The same through a function that only rises or only falls, such as exp."""
        value, low, high = (monotone(part) for part in self)
        return Estimates(value, np.minimum(low, high), np.maximum(low, high))


def estimates_of(value: Array, resampled: Sequence[Array] | Array) -> Estimates:
    """Intervals from resamples ``[resamples, ...]``: the wider ends of two.

    The quantiles alone miss the truth where resamples are biased, as shares near zero are; the
    value with 1.645 standard deviations alone where they are skewed.
    """
    values = np.asarray(resampled, dtype=float)
    low, high = np.quantile(values, [0.05, 0.95], axis=0)
    spread = 1.645 * values.std(axis=0)
    return Estimates(value, np.minimum(low, value - spread), np.maximum(high, value + spread))
