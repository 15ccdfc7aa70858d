"""Searchers: how the configurations are drawn, most of them before the first trial starts."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from raytune_pipe.base import Component, Value, unit_draw
from raytune_pipe.components.searchers_tpe import Past, Tpe
from raytune_pipe.distributions import drawn
from raytune_pipe.distributions_fields import label_of
from raytune_pipe.search_space import NO_VALUES, Hyperparameter, SearchSpace, Values


class Random(Component):
    """Draw every hyperparameter on its own, evenly on its declared scale.

    Better than a grid when few of many hyperparameters matter (Bergstra & Bengio 2012, JMLR 13).
    Each value depends only on the seed, the trial's number and the hyperparameter's name: more
    trials, or one hyperparameter more, leave all other values as they were.
    """

    kind: Literal["random"] = "random"
    """Name of the searcher."""

    def plan(
        self, space: SearchSpace, trials: int, seed: int, own: Values = NO_VALUES
    ) -> list[dict[str, Value]]:
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

    def plan(
        self, space: SearchSpace, trials: int, seed: int, own: Values = NO_VALUES
    ) -> list[dict[str, Value]]:
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

    def plan(
        self, space: SearchSpace, trials: int, seed: int, own: Values = NO_VALUES
    ) -> list[dict[str, Value]]:
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


class Points(Component):
    """Try given configurations first, such as the defaults and known good ones; then search.

    A hyperparameter that a configuration leaves out has the trial's own value, where that lies in
    the search space; else it is drawn.
    """

    kind: Literal["points"] = "points"
    """Name of the searcher."""
    configurations: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """Values by hyperparameter, in the order in which they are tried; {} is the trial's own. Where
    there are fewer trials, the first of them are."""
    then: "Searcher" = Random()
    """How the trials after them are drawn."""

    def plan(
        self, space: SearchSpace, trials: int, seed: int, own: Values = NO_VALUES
    ) -> list[dict[str, Value]]:
        """The values of every trial, in order, as far as they need no results."""
        given = [
            self._completed(space, number, seed, own)
            for number in range(min(trials, len(self.configurations)))
        ]
        rest = trials - len(given)
        return given + (self.then.plan(space, rest, seed, own) if rest else [])

    def suggest(
        self, space: SearchSpace, seed: int, past: Sequence[Past], attempt: int = 0
    ) -> dict[str, Value]:
        """The values of the next trial, from the results so far, where `then` draws from them."""
        if not isinstance(self.then, Tpe | Points):
            raise TypeError(f"{self.then.kind} draws all trials beforehand")
        return self.then.suggest(space, seed, past, attempt)

    def values_of(self, number: int) -> dict[str, Value]:
        """What a configuration gives, options as they are named."""
        return {name: label_of(value) for name, value in self.configurations[number].items()}

    def _completed(
        self, space: SearchSpace, number: int, seed: int, own: Values
    ) -> dict[str, Value]:
        given, values = self.values_of(number), dict[str, Value]()
        for one in space:
            value = given.get(one.name, own.get(one.name))
            if not one.distribution.contains(value):
                value = drawn(one.distribution, unit_draw(seed, "points", number, one.name))
            values[one.name] = value if one.applies(values) else None
        return values


def draws_from_results(searcher: "Searcher") -> bool:
    """Whether configurations depend on the results of earlier trials."""
    if isinstance(searcher, Points):
        return draws_from_results(searcher.then)
    return isinstance(searcher, Tpe)


Searcher = Annotated[Random | Sobol | Grid | Tpe | Points, Field(discriminator="kind")]
Points.model_rebuild()
