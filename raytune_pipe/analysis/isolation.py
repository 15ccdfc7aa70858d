"""What each value of a scientific hyperparameter can reach with the others tuned for it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.effects import ToMetric, is_near_best
from raytune_pipe.analysis.estimates import Estimates, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.grids import Grid, ValueRange, grid_of, masked, spread_units
from raytune_pipe.analysis.observations import BROKEN, Observations
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.base import Value
from raytune_pipe.components.surrogates import Surrogate

Array = NDArray[np.float64]

POINTS = 9
"""Values of a hyperparameter that has more."""
CANDIDATES = 256
"""Configurations of all others, the same at each value, of which the best counts."""


class Measured(NamedTuple):
    """The best trial at a value, or nearer to it than to the next."""

    trial_id: str
    metric: float
    trials: int
    """How many it is the best of: the best of more is better by chance alone."""


@dataclass(frozen=True)
class Isolation:
    """The best result over all other hyperparameters, at each value of one."""

    name: str
    values: tuple[Value, ...]
    reached: Estimates
    """[values], of the metric."""
    measured: tuple[Measured | None, ...]
    """The best trial at each value; None where there was none that did not break."""
    best: tuple[ValueRange, ...]
    """The values that cannot be told from the best one; empty where none can be told from it."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def isolations(fits: Fits, rows: Observations, to_metric: ToMetric) -> tuple[Isolation, ...]:
    """One for each hyperparameter with the role ``scientific``; rows must be trials.

    All others are tuned for it, whatever their role (Godbole et al. 2023, the deep learning tuning
    playbook). The result is what the surrogate expects of the best of 256 configurations of the
    others, the same ones at each value. The least of many uncertain predictions is too low
    (with a noise of 0.3 by 0.45 standard deviations at 60 trials and 0.24 at 200). So one refit
    chooses the configuration and another, to other trials, says what to expect of it; the figure is
    the mean of these, off by 0.11 and 0.04.
    """
    space = fits.space
    scientific = [one.name for one in space if one.distribution.role == "scientific"]
    return tuple(_isolation(fits, rows, name, to_metric) for name in scientific)


def _isolation(fits: Fits, rows: Observations, name: str, to_metric: ToMetric) -> Isolation:
    grid, axis = grid_of(fits.space, name, POINTS), fits.space.names.index(name)
    points = _points(fits, grid, axis)
    refits = _crossed(np.array([_expected(one, points, axis) for one in fits.refits]))
    value = refits.mean(axis=0)
    near_best = is_near_best(value, refits)
    return Isolation(
        name=name,
        values=grid.values,
        reached=estimates_of(value, refits).mapped(to_metric),
        measured=_measured(rows, grid, axis, to_metric),
        best=() if near_best.all() else grid.ranges(near_best),
    )


def _points(fits: Fits, grid: Grid, axis: int) -> Array:
    """The candidates at each value, ``[values, candidates, axes]``."""
    candidates = spread_units(fits.space, CANDIDATES)
    points = np.repeat(candidates[None], len(grid.units), axis=0)
    points[:, :, axis] = grid.units[:, None]
    return masked(fits.space, points.reshape(-1, len(fits.space))).reshape(points.shape)


def _expected(surrogate: Surrogate, points: Array, axis: int) -> Array:
    """``[values, candidates]``; infinite where the hyperparameter does not apply."""
    expected = surrogate.predict(points.reshape(-1, points.shape[2])).reshape(points.shape[:2])
    return np.where(np.isnan(points[:, :, axis]), np.inf, expected)


def _crossed(expected: Array) -> Array:
    """What each refit expects where the one before it expects least, ``[refits, values]``."""
    chosen = np.roll(expected, 1, axis=0).argmin(axis=2)
    crossed: Array = np.take_along_axis(expected, chosen[:, :, None], axis=2)[:, :, 0]
    return crossed


def _measured(
    rows: Observations, grid: Grid, axis: int, to_metric: ToMetric
) -> tuple[Measured | None, ...]:
    fit = ~np.isin(rows.status, BROKEN) & ~np.isnan(rows.units[:, axis])
    cell = np.abs(rows.units[:, [axis]] - grid.units).argmin(axis=1)
    found: list[Measured | None] = []
    for place in range(len(grid.units)):
        here = np.flatnonzero(fit & (cell == place))
        if not len(here):
            found.append(None)
            continue
        best = here[rows.target[here].argmin()]
        metric = float(to_metric(rows.target[[best]])[0])
        found.append(Measured(rows.trial_ids[best], metric, len(here)))
    return tuple(found)
