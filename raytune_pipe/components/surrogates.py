"""Surrogates: fitted models of an objective over a search space, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from raytune_pipe.search_space import SearchSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Shares(NamedTuple):
    """Fractions of the surrogate's variance, in the order of the space's hyperparameters.

    Where a hyperparameter does not apply it has no effect, and that it applies at all is its
    parent's doing. What it does where it applies is its own, and no interaction with the parent.
    """

    first: Array
    """[axes], by each hyperparameter alone (first-order Sobol index)."""
    total: Array
    """[axes], with everything it has a part in (total Sobol index)."""
    pairs: Array
    """[axes, axes], symmetric, by each pair beyond its two members; zero on the diagonal."""
    variance: float
    """What they are fractions of: the surrogate's variance over the space."""

    def without(self, axes: Sequence[int]) -> Shares:
        """The shares of what is left of the variance without that of these axes by themselves."""
        inside = list(axes)
        alone = self.first[inside].sum() + self.pairs[inside][:, inside].sum() / 2
        left = max(1 - float(alone), 0.0) or 1.0
        return Shares(self.first / left, self.total / left, self.pairs / left, self.variance * left)


class Surrogate(Protocol):
    """A model of the target over the units."""

    def predict(self, units: Array) -> Array:
        """Give the expected target at each row of units; NaN where an axis does not apply."""
        ...

    def shares(self) -> Shares:
        """Give the variance shares; all zero where the surrogate is flat."""
        ...

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        """Give the mean over all other axes with these held at ``units`` [points, axes].

        A hyperparameter that is held counts as one that applies.
        """
        ...


class Refittable(Surrogate, Protocol):
    """A surrogate that keeps the rows it was fitted to."""

    def refit(self, weights: Array) -> Surrogate:
        """Fit again to the same rows, each counted ``weights`` times; zero leaves a row out."""
        ...


def applies(space: SearchSpace, units: Array) -> NDArray[np.bool_]:
    """Which hyperparameters apply at each row of units ``[rows, axes]``, as their parents say."""
    import numpy as np

    held = np.ones(units.shape, dtype=bool)
    for place, one in enumerate(space):
        for condition in one.conditions:
            parent = space.names.index(condition.parent)
            label_at = space[condition.parent].distribution.from_unit
            fits = [label_at(unit) in condition.values for unit in units[:, parent]]
            held[:, place] &= held[:, parent] & fits
    return held


def ancestors(space: SearchSpace, name: str) -> set[str]:
    """What it depends on whether a hyperparameter applies: its parents, their parents, ..."""
    parents = {condition.parent for condition in space[name].conditions}
    return parents.union(*(ancestors(space, parent) for parent in parents))
