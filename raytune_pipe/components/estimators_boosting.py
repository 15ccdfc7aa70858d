"""The mathematics of `Boosting`: trees over the units, their variance shares at sampled points."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from sklearn.ensemble import GradientBoostingRegressor

from raytune_pipe.components.surrogates import Shares, ancestors, applies
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

POINTS = 1024
"""Quasi-random points for the shares, a power of two; their error is far below the trees' own."""
LEAST_INTERACTION = 0.005
"""What an axis must do beyond itself to be looked at in pairs."""
BACKGROUND = 256
"""The same for a mean over all other axes."""
MIDDLE = 0.5
"""What a tree sees of a hyperparameter that does not apply."""


class Trees(NamedTuple):
    """How many trees, how deep, and what each adds."""

    number: int
    depth: int
    shrinkage: float


@dataclass(frozen=True)
class FittedBoosting:
    """Trees, and the rows that they were fitted to."""

    settings: Trees
    space: SearchSpace
    units: Array
    target: Array
    trees: GradientBoostingRegressor

    def predict(self, units: Array) -> Array:
        """Give the expected target at each row of units."""
        predicted: Array = self.trees.predict(np.nan_to_num(units, nan=MIDDLE))
        return predicted

    def shares(self) -> Shares:
        """Swap one or two axes between two samples: what changes is theirs.

        Closed shares as means of products (Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018),
        whose error vanishes with the share, and total shares by Jansen. A pair has at most what
        its members do beyond themselves, so only axes with interactions are swapped in pairs.
        """
        axes = len(self.space)
        sample = qmc.Sobol(2 * axes, scramble=True, rng=0).random(POINTS)
        left, right = sample[:, :axes], sample[:, axes:]
        at_left, at_right = self._at(left), self._at(right)
        variance = float(np.var([at_left, at_right]))
        if variance == 0:
            return Shares(np.zeros(axes), np.zeros(axes), np.zeros((axes, axes)), 0.0)
        weights = (at_right - (at_left.mean() + at_right.mean()) / 2) / (variance * POINTS)
        swaps = [self._at(_swapped(left, right, (axis,))) - at_left for axis in range(axes)]
        alone = np.array([weights @ one for one in swaps])
        first = np.clip(alone, 0.0, 1.0)
        total = np.array([(one**2).mean() / (2 * variance) for one in swaps])
        interactions = np.zeros((axes, axes))
        acting = np.flatnonzero(total - first > LEAST_INTERACTION).tolist()
        for pair in itertools.combinations(acting, 2):
            together = weights @ (self._at(_swapped(left, right, pair)) - at_left)
            beyond = max(together - alone[list(pair)].sum(), 0.0)
            interactions[pair] = interactions[pair[::-1]] = beyond
        self._to_children(first, total, interactions)
        return Shares(first, np.clip(total, 0.0, 1.0), interactions, variance)

    def _to_children(self, first: Array, total: Array, interactions: Array) -> None:
        """Make what a hyperparameter does together with its parents its own (see `Shares`)."""
        names = self.space.names
        for child, name in enumerate(names):
            for parent in map(names.index, ancestors(self.space, name)):
                first[child] += interactions[child, parent]
                total[parent] -= interactions[child, parent]
                interactions[child, parent] = interactions[parent, child] = 0.0

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        """Average over quasi-random points at which these axes apply (partial dependence)."""
        others = qmc.Sobol(len(self.space), scramble=True, rng=1).random(BACKGROUND)
        points = np.repeat(others[None], len(units), axis=0)
        points[:, :, axes] = units[:, None, :]
        flat = points.reshape(-1, len(self.space))
        held = applies(self.space, flat)
        counted = held[:, axes].all(axis=1).reshape(len(units), BACKGROUND).astype(float)
        values = self.predict(np.where(held, flat, np.nan)).reshape(len(units), BACKGROUND)
        mean: Array = (values * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1.0)
        return mean

    def refit(self, weights: Array) -> FittedBoosting:
        """Fit again, each row counted ``weights`` times."""
        return _fitted(self.settings, self.space, self.units, self.target, weights)

    def _at(self, points: Array) -> Array:
        return self.predict(np.where(applies(self.space, points), points, np.nan))


def fit_boosting(
    settings: Trees, space: SearchSpace, units: Array, target: Array
) -> FittedBoosting:
    """Fit trees to rows of units ``[rows, axes]``, NaN where an axis does not apply."""
    return _fitted(settings, space, units, target, np.ones(len(target)))


def _fitted(
    settings: Trees, space: SearchSpace, units: Array, target: Array, weights: Array
) -> FittedBoosting:
    trees = GradientBoostingRegressor(
        n_estimators=settings.number,
        max_depth=settings.depth,
        learning_rate=settings.shrinkage,
        subsample=0.7,
        random_state=0,
    )
    kept = weights > 0
    trees.fit(np.nan_to_num(units[kept], nan=MIDDLE), target[kept], sample_weight=weights[kept])
    return FittedBoosting(settings, space, units, target, trees)


def _swapped(left: Array, right: Array, swap: tuple[int, ...]) -> Array:
    points = left.copy()
    points[:, swap] = right[:, swap]
    return points
