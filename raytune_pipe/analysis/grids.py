"""Points of a search space at which readings are taken, and ranges of values to name them by."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from raytune_pipe.base import Value
from raytune_pipe.components.surrogates import applies
from raytune_pipe.distributions import Choice, Distribution, count_of, values_of
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

POINTS = 17
"""Of a curve."""


class ValueRange(NamedTuple):
    """Values from one to another, both included; one value or option is a range of its own."""

    low: Value
    high: Value


@dataclass(frozen=True)
class Grid:
    """Values of one hyperparameter, evenly on its declared scale."""

    distribution: Distribution
    units: Array
    """[points], rising."""
    values: tuple[Value, ...]
    """[points]"""
    is_whole: bool
    """Whether these are all the values that there are."""

    @property
    def ordered(self) -> bool:
        """Whether its values have an order, so that neighbours belong together."""
        return not isinstance(self.distribution, Choice) or self.distribution.ordered

    def value_at(self, unit: float) -> Value:
        """The value at a unit, held within [0, 1]."""
        return self.distribution.from_unit(min(max(float(unit), 0.0), 1.0))

    def ranges(self, chosen: NDArray[np.bool_]) -> tuple[ValueRange, ...]:
        """The values of these points ``[points]``; neighbours become one range.

        A point of a grid that does not hold all values stands for those up to half-way to the next.
        """
        places = np.flatnonzero(chosen)
        apart = places[1:] > places[:-1] + 1 if self.ordered else np.ones(len(places) - 1, bool)
        runs = np.split(places, np.flatnonzero(apart) + 1) if len(places) else []
        return tuple(self._range(int(run[0]), int(run[-1])) for run in runs)

    def _range(self, first: int, last: int) -> ValueRange:
        if self.is_whole:
            return ValueRange(self.values[first], self.values[last])
        half = (self.units[1] - self.units[0]) / 2
        return ValueRange(
            self.value_at(self.units[first] - half), self.value_at(self.units[last] + half)
        )


def grid_of(space: SearchSpace, name: str, points: int = POINTS) -> Grid:
    """All values of a hyperparameter that has no more than ``points``, else that many.

    All options of a choice without order, however many.
    """
    distribution = space[name].distribution
    values = _all_values(distribution, points)
    if values is not None:
        units = np.array([distribution.to_unit(value) for value in values])
        return Grid(distribution, units, values, True)
    units = snapped(distribution, np.linspace(0.0, 1.0, points))
    return Grid(distribution, units, tuple(map(distribution.from_unit, units)), False)


def _all_values(distribution: Distribution, most: int) -> tuple[Value, ...] | None:
    count = count_of(distribution)
    has_order = not isinstance(distribution, Choice) or distribution.ordered
    if count is None or (count > most and has_order):
        return None
    return values_of(distribution)


def even_units(distribution: Distribution, points: int, shift: float = 0.5) -> Array:
    """Equally likely units of a hyperparameter's values ``[points]``, or one for each option.

    Each of the former is ``shift`` of the way through its part of the unit interval.
    """
    if isinstance(distribution, Choice):
        return np.array([distribution.to_unit(label) for label in distribution.labels])
    return snapped(distribution, (np.arange(points) + shift) / points)


def snapped(distribution: Distribution, units: Array) -> Array:
    """Units of the values that these units stand for."""
    if count_of(distribution) is None:
        return units
    return np.array([distribution.to_unit(distribution.from_unit(unit)) for unit in units])


def spread_units(space: SearchSpace, count: int) -> Array:
    """Quasi-random configurations ``[count, axes]``, always the same; every axis has a unit.

    ``count`` must be a power of two. See `masked`.
    """
    sample = qmc.Sobol(len(space), scramble=True, rng=0).random(count)
    columns = [snapped(one.distribution, sample[:, axis]) for axis, one in enumerate(space)]
    return np.column_stack(columns)


def masked(space: SearchSpace, units: Array) -> Array:
    """The same with NaN wherever a hyperparameter does not apply, as surrogates want it."""
    held = applies(space, np.nan_to_num(units, nan=0.5))
    return np.where(held, units, np.nan)
