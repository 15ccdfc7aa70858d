"""Searchers: how the configurations are drawn, all of them before the first trial starts."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Value, unit_draw
from raytune_pipe.search_space import Hyperparameter, SearchSpace


class Random(Component):
    """Draw every hyperparameter on its own, evenly on its declared scale.

    Better than a grid when few of many hyperparameters matter (Bergstra & Bengio 2012, JMLR 13).
    Each value depends only on the seed, the trial's number and the hyperparameter's name: more
    trials, or one hyperparameter more, leave all other values as they were.
    """

    kind: Literal["random"] = "random"
    """Name of the searcher."""

    def plan(self, space: SearchSpace, trials: int, seed: int) -> list[dict[str, Value]]:
        """The values of every trial, in order."""
        return [
            space.drawn({name: unit_draw(seed, "random", trial, name) for name in space.names})
            for trial in range(trials)
        ]


class Sobol(Component):
    """Fill the space evenly with a scrambled Sobol sequence (Owen 1998, ACM TOMACS 8).

    A quasi-random sequence leaves smaller gaps than independent draws; most even when the number
    of trials is a power of two.
    """

    kind: Literal["sobol"] = "sobol"
    """Name of the searcher."""

    def plan(self, space: SearchSpace, trials: int, seed: int) -> list[dict[str, Value]]:
        """The values of every trial, in order."""
        if not space.names:
            return [{} for _ in range(trials)]
        from scipy.stats.qmc import Sobol as Sequence

        sequence = Sequence(len(space), scramble=True, rng=seed)
        points = sequence.random_base2((trials - 1).bit_length())[:trials]
        return [
            space.drawn(dict(zip(space.names, map(float, point), strict=True))) for point in points
        ]


class Grid(Component):
    """Try every combination of evenly spaced values; the last hyperparameter varies fastest.

    A hyperparameter that does not apply under some option adds nothing there. The values are even
    on the declared scales: priors of the user's change nothing here.
    """

    kind: Literal["grid"] = "grid"
    """Name of the searcher."""
    points: Annotated[int, Field(ge=2, le=1000)] = 3
    """Values per numeric hyperparameter, both bounds among them; a choice has all its options."""

    def plan(self, space: SearchSpace, trials: int, seed: int) -> list[dict[str, Value]]:
        """The whole grid, in order; `trials` must be its `size`, which the experiment checks."""
        return list(self._combinations(tuple(space), {}))

    def size(self, space: SearchSpace) -> int:
        """Number of combinations; counted without listing them, as they may be many."""
        parents = {condition.parent for item in space for condition in item.conditions}
        return self._count(tuple(space), parents, {})

    def _axis(self, hyperparameter: Hyperparameter, values: dict[str, Value]) -> list[Value]:
        if not hyperparameter.applies(values):
            return [None]
        distribution = hyperparameter.distribution
        if distribution.kind == "choice":
            return list(distribution.labels)
        last = self.points - 1
        return list(dict.fromkeys(distribution.from_unit(i / last) for i in range(self.points)))

    def _combinations(
        self, left: tuple[Hyperparameter, ...], values: dict[str, Value]
    ) -> Iterator[dict[str, Value]]:
        if not left:
            yield values
            return
        for value in self._axis(left[0], values):
            yield from self._combinations(left[1:], values | {left[0].name: value})

    def _count(
        self, left: tuple[Hyperparameter, ...], parents: set[str], values: dict[str, Value]
    ) -> int:
        """Branch only where later hyperparameters depend on the value; multiply elsewhere."""
        total = 1
        for index, hyperparameter in enumerate(left):
            axis = self._axis(hyperparameter, values)
            if hyperparameter.name in parents:
                rest = left[index + 1 :]
                branches = ({**values, hyperparameter.name: value} for value in axis)
                return total * sum(self._count(rest, parents, branch) for branch in branches)
            total *= len(axis)
        return total


Searcher = Annotated[Random | Sobol | Grid, Field(discriminator="kind")]
