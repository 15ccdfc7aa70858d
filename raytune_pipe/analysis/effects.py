"""The shape of effects: curves with bands, where the best values lie, the surface of a pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.estimates import Estimates, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.grids import Grid, ValueRange, grid_of
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.base import Value
from raytune_pipe.components.surrogates import Surrogate

Array = NDArray[np.float64]
ToMetric = Callable[[Array], Array]
"""From targets (lower is better) to the objective's metric; rises or falls throughout."""

SURFACE_POINTS = 9
"""On each side of a surface."""


@dataclass(frozen=True)
class Effect:
    """What the metric is expected to be at each value of a hyperparameter, the others averaged.

    The average is over the search space and on the scale of the target, so of a log it is a
    geometric mean.
    """

    name: str
    values: tuple[Value, ...]
    expected: Estimates
    """[values], of the metric."""
    best: tuple[ValueRange, ...]
    """The values that cannot be told from the best one; empty where none can be told from it."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


@dataclass(frozen=True)
class Surface:
    """What the metric is expected to be at each pair of values of two hyperparameters."""

    names: tuple[str, str]
    values: tuple[tuple[Value, ...], tuple[Value, ...]]
    expected: Estimates
    """[values of the first, values of the second], of the metric."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def effects(fits: Fits, names: Sequence[str], to_metric: ToMetric) -> tuple[Effect, ...]:
    """Main-effect curves of these hyperparameters, with pointwise 90 % bands."""
    return tuple(_effect(fits, name, to_metric) for name in names)


def _effect(fits: Fits, name: str, to_metric: ToMetric) -> Effect:
    grid, axis = grid_of(fits.space, name), fits.space.names.index(name)
    curve, *refits = each_fit(fits, lambda one: one.expected((axis,), grid.units[:, None]))
    near_best = is_near_best(curve, np.array(refits))
    return Effect(
        name=name,
        values=grid.values,
        expected=estimates_of(curve, refits).mapped(to_metric),
        best=() if near_best.all() else grid.ranges(near_best),
    )


def surface(fits: Fits, names: tuple[str, str], to_metric: ToMetric) -> Surface:
    """The mean over all other hyperparameters at each pair of values of two."""
    left, right = (grid_of(fits.space, name, SURFACE_POINTS) for name in names)
    return Surface(
        names=names,
        values=(left.values, right.values),
        expected=fits.estimates(lambda one: pair_mean(fits, one, names, left, right)).mapped(
            to_metric
        ),
    )


def pair_mean(
    fits: Fits, surrogate: Surrogate, names: tuple[str, str], left: Grid, right: Grid
) -> Array:
    """The expected target at each pair of values, ``[left, right]``."""
    axes = (fits.space.names.index(names[0]), fits.space.names.index(names[1]))
    points = np.stack(np.meshgrid(left.units, right.units, indexing="ij"), axis=-1)
    return surrogate.expected(axes, points.reshape(-1, 2)).reshape(points.shape[:2])


def each_fit(fits: Fits, functional: Callable[[Surrogate], Array]) -> list[Array]:
    """What the surrogate of all trials gives, then what each refit gives."""
    return [functional(one) for one in (fits.surrogate, *fits.refits)]


def is_near_best(values: Array, refits: Array) -> NDArray[np.bool_]:
    """Which of the ``values`` [points] cannot be told from the least; ``refits`` [refits, points].

    The difference from the least one is taken in each refit by itself, so that what moves a whole
    curve does not blur where its bottom is. All of them where not even the greatest difference, in
    standard deviations, exceeds what chance makes of the greatest one in 95 % of refits. Over 15
    seeds the true best was among them in 0.94 of the curves that told any values apart (200 trials,
    noise 0.3 and 1); of hyperparameters without effect, 0.03 had any told apart (25 seeds).
    """
    least = int(values.argmin())
    above, others = values - values[least], refits - refits[:, [least]]
    # Where no refit differs there is no doubt, and the least one itself is not above.
    deviation = np.maximum(others.std(axis=0), 1e-12 * (np.ptp(values) or 1.0))
    chance = (others - others.mean(axis=0)) / deviation
    if np.max(above / deviation) <= np.quantile(chance.max(axis=1), 0.95):
        return np.ones(len(values), dtype=bool)
    near: NDArray[np.bool_] = estimates_of(above, others).low <= 0
    return near
