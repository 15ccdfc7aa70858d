"""Where the best value of one hyperparameter lies at each value of another, and if it moves."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.effects import each_fit, is_near_best, pair_mean
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.grids import Grid, grid_of
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.base import Value

Array = NDArray[np.float64]

POINTS = 33
"""Values of the first hyperparameter that are compared."""
MOST_FLAT = 0.05
"""Share of refits that see no best value, beyond which none is named."""


class BestValue(NamedTuple):
    """The best value of a hyperparameter with its 90 % interval."""

    value: Value
    low: Value
    high: Value


@dataclass(frozen=True)
class MovingOptimum:
    """The best value of ``name`` at each value of ``by``, all others averaged."""

    name: str
    by: str
    at: tuple[Value, ...]
    """Values of ``by``, from low to high."""
    best: tuple[BestValue | None, ...]
    """None where the data cannot tell."""
    rises: float
    """Probability that it is larger at the largest value of ``by`` than at the smallest."""
    shift: Estimate | None
    """By how much from the smallest to the largest, in fractions of the searched range."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def moving_optimum(fits: Fits, name: str, by: str) -> MovingOptimum:
    """The value of ``name`` at which the expected target is least, at each value of ``by``.

    Raises:
        ValueError: one of the two is an unordered choice, in which nothing can move.
    """
    grid, others = grid_of(fits.space, name, POINTS), grid_of(fits.space, by)
    if not (grid.ordered and others.ordered):
        raise ValueError(f"{name} and {by} must both have an order, but they have not")
    surfaces = each_fit(fits, lambda one: pair_mean(fits, one, (name, by), grid, others))
    value, *refits = (_bottoms(grid, one) for one in surfaces)
    positions, curves = np.array(refits), np.array(surfaces[1:])
    best = []
    for place in range(len(others.values)):
        near = is_near_best(surfaces[0][:, place], curves[:, :, place])
        told = None if near.all() else _located(value[place], positions[:, place])
        best.append(told and BestValue(*map(grid.value_at, told)))
    moved = positions[:, -1] - positions[:, 0]
    return MovingOptimum(
        name=name,
        by=by,
        at=others.values,
        best=tuple(best),
        rises=float(((np.sign(np.nan_to_num(moved)) + 1) / 2).mean()),
        shift=_located(value[-1] - value[0], moved) if best[0] and best[-1] else None,
    )


def _bottoms(grid: Grid, surface: Array) -> Array:
    """The unit of the least value in each column; NaN where a column is flat.

    Of a real number, where the parabola through the least point and its neighbours is least.
    """
    return np.array([_bottom(grid, column) for column in surface.T])


def _bottom(grid: Grid, column: Array) -> float:
    if np.ptp(column) <= 1e-9 * np.abs(column).max():
        return float("nan")
    place = int(column.argmin())
    if grid.is_whole or place in (0, len(column) - 1):
        return float(grid.units[place])
    before, at, after = column[place - 1 : place + 2]
    bend = before - 2 * at + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(grid.units[place] + step * (grid.units[1] - grid.units[0]))


def _located(value: float, resampled: Array) -> Estimate | None:
    """A unit with its interval; None where too many see no best value."""
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value) or len(known) < (1 - MOST_FLAT) * len(resampled):
        return None
    return estimates_of(np.array([value]), known[:, None]).each()[0]
