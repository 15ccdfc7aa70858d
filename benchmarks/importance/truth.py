"""Variance shares of a known function by brute force, in the conventions of `Shares`."""

import itertools
from collections.abc import Iterable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from raytune_pipe.analysis.observations import trial_observations
from raytune_pipe.components.surrogates import Shares, ancestors
from raytune_pipe.results.reading import Results

from benchmarks.importance.problem import Problem, drawn

Array = NDArray[np.float64]
Axes = frozenset[int]

POINTS = 2**17
"""Quasi-random points: scrambled anew, shares move by at most 0.0005, on the cliff by 0.003."""


def true_shares(problem: Problem, results: Results) -> Shares:
    """The shares that an analysis of this run should come to.

    They are those of the score without noise on the scale that the run is analyzed on. What
    diverges has the worst score that was seen in this run.
    """
    scale = trial_observations(results).scale
    worst = float(results.trials["score"].max())
    sample = _sample(problem)
    targets = {
        axes: scale.to_target(np.nan_to_num(scores, nan=worst)) for axes, scores in sample.items()
    }
    return _Variances(problem, targets).shares()


def linear_shares(problem: Problem, results: Results) -> Shares:
    """The same, always of the score as it is, which is what other tools analyze."""
    worst = float(results.trials["score"].max())
    targets = {axes: np.nan_to_num(one, nan=worst) for axes, one in _sample(problem).items()}
    return _Variances(problem, targets).shares()


@lru_cache(maxsize=4)
def _sample(problem: Problem) -> dict[Axes, Array]:
    """Scores at one sample, some axes swapped for those of a second sample; all: the second."""
    count = len(problem.space)
    both = qmc.Sobol(2 * count, scramble=True, rng=0).random(POINTS)
    left, right = both[:, :count], both[:, count:]
    scores = {}
    for axes in _needed(problem):
        mixed = left.copy()
        mixed[:, list(axes)] = right[:, list(axes)]
        scores[axes] = problem.score(drawn(problem.space, mixed))
    return scores


def _needed(problem: Problem) -> Iterable[Axes]:
    """Every set of axes that `_Variances.shares` asks for, and none or all of them."""
    asked = _Variances(problem, {})
    return dict.fromkeys([frozenset(), frozenset(range(len(problem.space))), *asked.wanted()])


class _Variances:
    """Parts of the variance of a function (Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018).

    In the Hoeffding decomposition every set of axes has a part of the variance. A part with a
    conditional hyperparameter and its parents counts as one without the parents (see `Shares`).
    """

    def __init__(self, problem: Problem, targets: dict[Axes, Array]) -> None:
        """``targets`` by swapped axes, each ``[points]``."""
        names = problem.space.names
        self.count = len(names)
        self.targets = targets
        self.above = [frozenset(map(names.index, ancestors(problem.space, one))) for one in names]
        self.below = [
            frozenset(child for child in range(self.count) if axis in self.above[child])
            for axis in range(self.count)
        ]

    def wanted(self) -> Iterable[Axes]:
        """The sets of axes that are swapped."""
        for axis in range(self.count):
            yield from (self.below[axis], self.below[axis] | {axis})
            yield from (self.above[axis], self.above[axis] | {axis})
        for one, other in itertools.combinations(range(self.count), 2):
            given = (self.above[one] | self.above[other]) - {one, other}
            yield from (given, given | {one}, given | {other}, given | {one, other})

    def shares(self) -> Shares:
        """First-order, total and pair shares."""
        count, variance = self.count, self.variance
        first, total, pairs = np.zeros(count), np.zeros(count), np.zeros((count, count))
        for axis in range(count):
            above, below = self.above[axis], self.below[axis]
            first[axis] = self._by(above | {axis}) - self._by(above)
            total[axis] = self._left_by(below | {axis}) - self._left_by(below)
        for one, other in itertools.combinations(range(count), 2):
            if one in self.above[other] or other in self.above[one]:
                continue
            given = (self.above[one] | self.above[other]) - {one, other}
            together = self._by(given | {one, other}) + self._by(given)
            alone = self._by(given | {one}) + self._by(given | {other})
            pairs[one, other] = pairs[other, one] = together - alone
        return Shares(first / variance, total / variance, pairs / variance, variance)

    @cached_property
    def variance(self) -> float:
        """Of the function."""
        return float(np.var(np.concatenate([self.left, self.right])))

    @property
    def left(self) -> Array:
        """At the first sample."""
        return self.targets[frozenset()]

    @property
    def right(self) -> Array:
        """At the second sample."""
        return self.targets[frozenset(range(self.count))]

    def _by(self, axes: Axes) -> float:
        """Variance that these axes explain, alone and with each other."""
        centered = self.right - (self.left.mean() + self.right.mean()) / 2
        return float((centered * (self.targets[axes] - self.left)).mean())

    def _left_by(self, axes: Axes) -> float:
        """Variance that is left when all other axes are known."""
        return float(((self.targets[axes] - self.left) ** 2).mean() / 2)
