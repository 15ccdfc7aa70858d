"""What matters around the best configuration: one hyperparameter moves, the others stay."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.effects import each_fit
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.grids import even_units, masked
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.verdicts import tiers_of
from raytune_pipe.base import Value
from raytune_pipe.components.surrogates import Surrogate
from raytune_pipe.search_space import SearchSpace, Values

Array = NDArray[np.float64]

POINTS = 32
"""Equally likely values of the one that moves."""


@dataclass(frozen=True)
class LocalImportance:
    """Fractions of the variance around a configuration, or the reason why there are none."""

    values: dict[str, Value]
    """The configuration."""
    refused: str | None
    fractions: dict[str, Estimate]
    """By hyperparameter that applies there, most important first; they add up to 1."""
    tiers: tuple[tuple[str, ...], ...]
    """Parted where the data can tell all above from all below."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def local_importance(fits: Fits, values: Values) -> LocalImportance:
    """Variance of the prediction as each hyperparameter alone moves over its range.

    ``values`` is the configuration that the others stay at; the variances are divided by their sum
    (Biedenkapp et al. 2018, doi:10.1007/978-3-030-05348-2_10). Those that come to apply only as
    another moves are averaged out. Interactions count at this one place, so a hyperparameter may
    matter here that hardly does on the whole, and the other way round.
    """
    base = np.array(list(fits.space.to_units(values).values()))
    moving = np.flatnonzero(~np.isnan(base))
    points = [_moved(fits.space, base, int(axis)) for axis in moving]
    variances = np.array(each_fit(fits, lambda one: _variances(one, points)))
    sums = variances.sum(axis=1, keepdims=True)
    at = {name: values.get(name) for name in fits.space.names}
    if sums[0] <= 0:
        return LocalImportance(at, "nothing is seen to matter there", {}, ())
    # A refit to which all is flat tells of no order: equal parts.
    parts = np.where(sums > 0, variances / np.where(sums > 0, sums, 1), 1 / len(moving))
    order = np.argsort(-parts[0], kind="stable")
    names = [fits.space.names[moving[place]] for place in order]
    estimates = estimates_of(parts[0, order], parts[1:, order]).clipped(0.0, 1.0).each()
    return LocalImportance(
        values=at,
        refused=None,
        fractions=dict(zip(names, estimates, strict=True)),
        tiers=tiers_of(names, parts[1:, order]),
    )


def _moved(space: SearchSpace, base: Array, axis: int) -> Array:
    """The configuration with one hyperparameter at each of its values, ``[points, axes]``."""
    units = even_units(space.hyperparameters[axis].distribution, POINTS)
    points = np.repeat(base[None], len(units), axis=0)
    points[:, axis] = units
    return masked(space, points)


def _variances(surrogate: Surrogate, points: list[Array]) -> Array:
    predicted = surrogate.predict(np.vstack(points))
    ends = np.cumsum([len(one) for one in points])[:-1]
    return np.array([part.var() for part in np.split(predicted, ends)])
