"""The mathematics of `Expansion`: an orthonormal basis of a search space, and its coefficients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from scipy.linalg import helmert

from raytune_pipe.components.estimators_evidence import VANISHED, Evidence, maximize_evidence
from raytune_pipe.components.surrogates import Shares, ancestors, applies
from raytune_pipe.distributions import (
    Choice,
    Distribution,
    LogIntUniform,
    LogUniform,
    count_of,
    values_of,
)
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

COLD_ITERATIONS = 40
"""Evidence steps from an even prior; shares move by less than 0.001 afterwards."""
WARM_ITERATIONS = 12
"""The same from the prior of a fit without triples."""
REFIT_ITERATIONS = 12
"""The same from the prior of a fit to all rows. With 8 the intervals of pure noise are too
narrow: orders are asserted in it."""
REVIVED = 0.03
"""Prior variance, all groups together, below which a refit does not start: without it the intervals
of small shares miss them (first-order coverage 0.64 instead of 0.87 at a noise of half the
effect)."""
LEADING = 4
"""Hyperparameters of which triples are made."""
MOST_LEVELS = 1000
"""A distribution of more values than this is treated as continuous."""


class Axis(NamedTuple):
    """The functions of one hyperparameter: mean zero, orthonormal over its own measure."""

    table: Array
    """[levels, functions] for an unordered choice, else [degrees + 1, functions] on Legendre's."""
    orders: Array
    """[functions]: the degree of each; 1 for every contrast of an unordered choice."""
    ordered: bool

    def __call__(self, units: Array) -> Array:
        """Evaluate at units ``[rows]`` in [0, 1] -> ``[rows, functions]``."""
        levels = len(self.table)
        if not self.ordered:
            index: Array = self.table[np.minimum((units * levels).astype(int), levels - 1)]
            return index
        values: Array = legvander(2 * units - 1, levels - 1) @ self.table
        return values


def axis_of(distribution: Distribution, degree: int) -> Axis:
    """The functions of a distribution, up to a degree and to what its values tell apart."""
    if isinstance(distribution, Choice) and not distribution.ordered:
        levels = len(distribution.options)
        return Axis(np.sqrt(levels) * helmert(levels).T, np.ones(levels - 1), False)
    values = _discrete_values(distribution)
    if values is None:
        return Axis(
            np.diag(np.sqrt(2.0 * np.arange(degree + 1) + 1))[:, 1:],
            np.arange(1.0, degree + 1),
            True,
        )
    positions, masses = values
    degree = min(degree, len(positions) - 1)
    powers = legvander(2 * positions - 1, degree)
    triangle = np.linalg.qr(np.sqrt(masses)[:, None] * powers, mode="r")
    return Axis(np.linalg.inv(triangle)[:, 1:], np.arange(1.0, degree + 1), True)


def _discrete_values(distribution: Distribution) -> tuple[Array, Array] | None:
    """Units and probabilities of a discrete distribution's values; None for a continuous one."""
    count = count_of(distribution)
    if count is None or (count > MOST_LEVELS and not isinstance(distribution, Choice)):
        return None
    if not isinstance(distribution, LogIntUniform | LogUniform):
        return (np.arange(count) + 0.5) / count, np.full(count, 1 / count)
    quantum = distribution.quantum if isinstance(distribution, LogUniform) else 1
    numbers = np.array(values_of(distribution), dtype=float)
    edges = np.log(np.append(numbers, distribution.high + (quantum or 1)) - (quantum or 1) / 2)
    width = edges[-1] - edges[0]
    return (np.log(numbers) - edges[0]) / width, np.diff(edges) / width


class Terms:
    """The basis of a space: one group of columns per hyperparameter, per pair and per triple.

    A hyperparameter that applies only under a condition has columns that are zero elsewhere and
    scaled to unit variance over the whole space; what its presence itself changes belongs to its
    parent. It is in no group with a hyperparameter that its presence depends on.
    """

    def __init__(self, space: SearchSpace, degrees: Sequence[int], leading: Sequence[int] = ()):
        """``degrees``: the highest in one hyperparameter, then highest sums in a pair, a triple.

        Triples are made of the ``leading`` axes only, by index.
        """
        self.axes = [axis_of(one.distribution, degrees[0]) for one in space]
        self.degrees = tuple(degrees)
        above = [ancestors(space, name) for name in space.names]
        self.groups: list[tuple[int, ...]] = []
        """The hyperparameters of each group, by index."""
        self.scales: list[float] = []
        """What the columns of each group are multiplied by."""
        for group in _subsets(len(space), leading):
            together = _together(space, group, set().union(*(above[index] for index in group)))
            names = {space.names[index] for index in group}
            if together > 0 and not any(names & above[index] for index in group):
                self.groups.append(group)
                self.scales.append(together**-0.5)
        orders = [self._orders(group) for group in self.groups]
        self.orders = np.concatenate(orders)
        """[columns]: the degree of each column, summed over its factors."""
        self.group_of = np.repeat(np.arange(len(self.groups)), [len(each) for each in orders])
        """[columns]: the group that each column belongs to."""

    def _sums(self, group: tuple[int, ...]) -> Array:
        """Degrees of all products of the functions of some axes."""
        sums = np.zeros(1)
        for index in group:
            sums = np.add.outer(sums, self.axes[index].orders).ravel()
        return sums

    def _orders(self, group: tuple[int, ...]) -> Array:
        sums = self._sums(group)
        return sums[sums <= self.degrees[len(group) - 1]]

    def columns(self, units: Array, groups: Sequence[tuple[int, ...]] | None = None) -> Array:
        """Evaluate at units ``[rows, axes]`` (NaN: does not apply) -> ``[rows, columns]``.

        All columns, or those of some groups.
        """
        single = []
        for axis, column in zip(self.axes, units.T, strict=True):
            values = axis(np.nan_to_num(column, nan=0.5))
            values[np.isnan(column)] = 0.0
            single.append(values)
        blocks = [
            scale * self._products([single[index] for index in group], group)
            for group, scale in zip(self.groups, self.scales, strict=True)
            if groups is None or group in groups
        ]
        return np.hstack(blocks) if blocks else np.zeros((len(units), 0))

    def _products(self, factors: list[Array], group: tuple[int, ...]) -> Array:
        products = factors[0]
        for factor in factors[1:]:
            products = (products[:, :, None] * factor[:, None, :]).reshape(len(factor), -1)
        return products[:, self._sums(group) <= self.degrees[len(group) - 1]]


def _subsets(axes: int, leading: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Single axes, then pairs, then triples of the leading ones."""
    yield from itertools.combinations(range(axes), 1)
    yield from itertools.combinations(range(axes), 2)
    yield from itertools.combinations(sorted(leading), 3)


def _together(space: SearchSpace, group: tuple[int, ...], parents: set[str]) -> float:
    """Probability that all of a group apply; ``parents`` are what that depends on."""
    if not parents:
        return 1.0
    cells = [_cells(one.distribution) if one.name in parents else [0.5] for one in space]
    cases = applies(space, np.array(list(itertools.product(*cells))))
    return float(cases[:, group].all(axis=1).mean())


def _cells(parent: object) -> list[float]:
    if not isinstance(parent, Choice):
        raise ValueError(f"a condition must be on a choice, but got {parent!r}")
    return [parent.to_unit(label) for label in parent.labels]


@dataclass(frozen=True)
class Expanded:
    """A function over a search space, by its coefficients."""

    terms: Terms
    intercept: float
    coefficients: Array
    """[columns]"""

    def predict(self, units: Array) -> Array:
        """Give the expected target at each row of units."""
        predicted: Array = self.intercept + self.terms.columns(units) @ self.coefficients
        return predicted

    def shares(self) -> Shares:
        """Sum the squared coefficients by group: Sobol indices in closed form."""
        groups = self.terms.groups
        variance = np.bincount(self.terms.group_of, self.coefficients**2, minlength=len(groups))
        whole, axes = float(variance.sum()), len(self.terms.axes)
        first, total, pairs = np.zeros(axes), np.zeros(axes), np.zeros((axes, axes))
        for group, part in zip(groups, variance / (whole or 1.0), strict=True):
            total[list(group)] += part
            if len(group) == 1:
                first[group[0]] = part
            elif len(group) == 2:
                pairs[group] = pairs[group[::-1]] = part
        return Shares(first, total, pairs, whole)

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        """Sum the functions of these axes alone: all others have mean zero."""
        points = np.full((len(units), len(self.terms.axes)), np.nan)
        points[:, axes] = units
        inside = [set(group) <= set(axes) for group in self.terms.groups]
        groups = list(itertools.compress(self.terms.groups, inside))
        kept = np.array(inside)[self.terms.group_of]
        mean: Array = self.intercept + self.terms.columns(points, groups) @ self.coefficients[kept]
        return mean


@dataclass(frozen=True)
class FittedExpansion:
    """An expansion with the rows that it was fitted to and the prior that shrunk it."""

    function: Expanded
    columns: Array
    """[rows, columns] of all rows, whatever their weight."""
    target: Array
    evidence: Evidence

    def predict(self, units: Array) -> Array:
        """Give the expected target at each row of units."""
        return self.function.predict(units)

    def shares(self) -> Shares:
        """Sobol indices in closed form."""
        return self.function.shares()

    def expected(self, axes: tuple[int, ...], units: Array) -> Array:
        """Give the mean over all other axes."""
        return self.function.expected(axes, units)

    def refit(self, weights: Array) -> FittedExpansion:
        """Fit again, each row counted ``weights`` times.

        It starts from this prior, in which groups that had vanished get back a little of the
        variance: other rows may show them.
        """
        sizes = _sizes(self.function.terms)
        lifted = np.maximum(self.evidence.prior, REVIVED / (len(sizes) * sizes))
        start = replace(self, evidence=self.evidence._replace(prior=lifted))
        return _fitted(start, weights, REFIT_ITERATIONS)


def fit_expansion(
    space: SearchSpace, degrees: Sequence[int], units: Array, target: Array
) -> FittedExpansion:
    """Fit single hyperparameters and pairs, then also triples of those that turn out to lead.

    A priori half of the variance is noise, the rest split evenly.
    """
    pairs = Terms(space, degrees)
    sizes = _sizes(pairs)
    start = FittedExpansion(
        function=Expanded(pairs, 0.0, np.zeros(len(pairs.orders))),
        columns=pairs.columns(units),
        target=target,
        evidence=Evidence(0.5 / (len(sizes) * sizes), 0.5, np.zeros(len(pairs.orders))),
    )
    alike = np.ones(len(target))
    fitted = _fitted(start, alike, COLD_ITERATIONS)
    leading = np.argsort(-fitted.shares().total)[:LEADING].tolist()
    return fitted if len(leading) < 3 else _with_triples(fitted, space, degrees, leading, units)


def _with_triples(
    fitted: FittedExpansion,
    space: SearchSpace,
    degrees: Sequence[int],
    leading: Sequence[int],
    units: Array,
) -> FittedExpansion:
    terms = Terms(space, degrees, leading)
    known = fitted.evidence.prior
    sizes = _sizes(terms)
    start = replace(
        fitted,
        function=Expanded(terms, 0.0, np.zeros(len(terms.orders))),
        columns=np.hstack([fitted.columns, terms.columns(units, terms.groups[len(known) :])]),
        evidence=Evidence(
            np.append(known, REVIVED / sizes[len(known) :]),
            fitted.evidence.noise,
            np.zeros(len(terms.orders)),
        ),
    )
    return _fitted(start, np.ones(len(fitted.target)), WARM_ITERATIONS)


def _sizes(terms: Terms) -> Array:
    """Variance of each group's columns at a prior variance of 1, ``[groups]``."""
    return np.bincount(terms.group_of, terms.orders**-2.0).astype(float)


def _fitted(start: FittedExpansion, weights: Array, iterations: int) -> FittedExpansion:
    terms, kept = start.function.terms, weights > 0
    active = start.evidence.prior[terms.group_of] > VANISHED
    target, weights = start.target[kept], weights[kept]
    mean = float(np.average(target, weights=weights))
    deviation = float(np.sqrt(np.average((target - mean) ** 2, weights=weights)))
    if deviation == 0:
        return replace(start, function=Expanded(terms, mean, np.zeros(len(active))))
    # A prior variance falls with the square of the degree: smooth functions first.
    smooth = 1 / terms.orders[active]
    rows = start.columns[np.ix_(kept, active)]
    centers = weights @ rows / weights.sum()
    rows -= centers
    rows *= smooth
    roots = np.sqrt(weights)
    rows *= roots[:, None]
    scaled = roots * (target - mean) / deviation
    evidence = maximize_evidence(rows, scaled, terms.group_of[active], start.evidence, iterations)
    coefficients = np.zeros(len(active))
    coefficients[active] = deviation * smooth * evidence.coefficients
    intercept = mean - float(centers @ coefficients[active])
    return replace(start, function=Expanded(terms, intercept, coefficients), evidence=evidence)
