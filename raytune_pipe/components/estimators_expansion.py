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

from raytune_pipe.components.estimators_evidence import Evidence, maximize_evidence
from raytune_pipe.components.surrogates import Shares, ancestors, applies
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

COLD_ITERATIONS = 40
"""Evidence steps from an even prior; shares move by less than 0.001 afterwards."""
WARM_ITERATIONS = 12
"""The same from the prior of a fit to all rows."""
REVIVED = 0.03
"""Prior variance, all groups together, below which a refit does not start: without it the intervals
of small shares miss them (first-order coverage 0.64 instead of 0.87 at a noise of half the
effect)."""
MOST_LEVELS = 1000
"""Whole numbers with more values than this are treated as continuous."""


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


def axis_of(distribution: object, degree: int) -> Axis:
    """The functions of a distribution, up to a degree and to what its values tell apart."""
    if isinstance(distribution, Choice) and not distribution.ordered:
        levels = len(distribution.options)
        return Axis(np.sqrt(levels) * helmert(levels).T, np.ones(levels - 1), False)
    values = _whole_values(distribution)
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


def _whole_values(distribution: object) -> tuple[Array, Array] | None:
    """Units and probabilities of a discrete distribution's values; None for a continuous one."""
    if isinstance(distribution, Choice):
        levels = len(distribution.options)
        return (np.arange(levels) + 0.5) / levels, np.full(levels, 1 / levels)
    if not isinstance(distribution, IntUniform | LogIntUniform):
        return None
    if distribution.high - distribution.low >= MOST_LEVELS:
        return None
    whole = np.arange(distribution.low, distribution.high + 1)
    if isinstance(distribution, IntUniform):
        return (whole - distribution.low + 0.5) / len(whole), np.full(len(whole), 1 / len(whole))
    edges = np.log(np.append(whole, distribution.high + 1) - 0.5)
    width = edges[-1] - edges[0]
    return (np.log(whole) - edges[0]) / width, np.diff(edges) / width


class Terms:
    """The basis of a space: one group of columns per hyperparameter and per pair.

    A hyperparameter that applies only under a condition has columns that are zero elsewhere and
    scaled to unit variance over the whole space; what its presence itself changes belongs to its
    parent. It has no pair with a hyperparameter that its presence depends on.
    """

    def __init__(self, space: SearchSpace, degree: int, pair_degree: int):
        self.axes = [axis_of(one.distribution, degree) for one in space]
        self.pair_degree = pair_degree
        cases = _applicability(space)
        self.together = cases.T @ cases / len(cases)
        """[axes, axes]: the probability that two hyperparameters apply at once."""
        above = [ancestors(space, name) for name in space.names]
        pairs = itertools.combinations(range(len(space)), 2)
        self.groups = [
            *((index,) for index in range(len(space))),
            *(
                (left, right)
                for left, right in pairs
                if self.together[left, right] > 0
                and space.names[left] not in above[right]
                and space.names[right] not in above[left]
            ),
        ]
        """The hyperparameters of each group, by index."""
        self.orders = np.concatenate([self._orders(group) for group in self.groups])
        """[columns]: the degree of each column, summed over its factors."""
        self.group_of = np.repeat(
            np.arange(len(self.groups)), [len(self._orders(group)) for group in self.groups]
        )
        """[columns]: the group that each column belongs to."""

    def _orders(self, group: tuple[int, ...]) -> Array:
        if len(group) == 1:
            return self.axes[group[0]].orders
        left, right = (self.axes[index].orders for index in group)
        sums = np.add.outer(left, right).ravel()
        return sums[sums <= self.pair_degree]

    def columns(self, units: Array, groups: Sequence[tuple[int, ...]] | None = None) -> Array:
        """Evaluate at units ``[rows, axes]`` (NaN: does not apply) -> ``[rows, columns]``.

        All columns, or those of some groups.
        """
        single = []
        for axis, column in zip(self.axes, units.T, strict=True):
            values = axis(np.nan_to_num(column, nan=0.5))
            values[np.isnan(column)] = 0.0
            single.append(values)
        blocks = list(self._blocks(single, self.groups if groups is None else groups))
        return np.hstack(blocks) if blocks else np.zeros((len(units), 0))

    def _blocks(self, single: list[Array], groups: Sequence[tuple[int, ...]]) -> Iterator[Array]:
        for group in groups:
            scale = 1 / np.sqrt(self.together[group[0], group[-1]])
            if len(group) == 1:
                yield scale * single[group[0]]
                continue
            left, right = group
            products = single[left][:, :, None] * single[right][:, None, :]
            sums = np.add.outer(self.axes[left].orders, self.axes[right].orders)
            yield scale * products[:, sums <= self.pair_degree]


def _applicability(space: SearchSpace) -> Array:
    """Which hyperparameters apply, ``[equally likely cases, axes]`` as 0 or 1."""
    parents = {one.condition.parent for one in space if one.condition}
    cells = [_cells(one.distribution) if one.name in parents else [0.5] for one in space]
    return applies(space, np.array(list(itertools.product(*cells)))).astype(float)


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
        axes = len(self.terms.axes)
        first, pairs = np.zeros(axes), np.zeros((axes, axes))
        whole = float(variance.sum())
        for group, part in zip(groups, variance / (whole or 1.0), strict=True):
            if len(group) == 1:
                first[group[0]] = part
            else:
                pairs[group] = pairs[group[::-1]] = part
        return Shares(first, first + pairs.sum(axis=0), pairs, whole)

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
        terms = self.function.terms
        sizes = np.bincount(terms.group_of, terms.orders**-2.0)
        lifted = np.maximum(self.evidence.prior, REVIVED / (len(sizes) * sizes))
        start = replace(self, evidence=self.evidence._replace(prior=lifted))
        return _fitted(start, weights, WARM_ITERATIONS)


def fit_expansion(terms: Terms, units: Array, target: Array) -> FittedExpansion:
    """Fit the coefficients; a priori half of the variance is noise, the rest split evenly."""
    shape = terms.orders**-2.0
    sizes = np.bincount(terms.group_of, shape)
    nothing = np.zeros(len(shape))
    start = FittedExpansion(
        function=Expanded(terms, 0.0, nothing),
        columns=terms.columns(units),
        target=target,
        evidence=Evidence(0.5 / (len(sizes) * sizes), 0.5, nothing),
    )
    return _fitted(start, np.ones(len(target)), COLD_ITERATIONS)


def _fitted(start: FittedExpansion, weights: Array, iterations: int) -> FittedExpansion:
    terms, kept = start.function.terms, weights > 0
    columns, target, weights = start.columns[kept], start.target[kept], weights[kept]
    mean = float(np.average(target, weights=weights))
    deviation = float(np.sqrt(np.average((target - mean) ** 2, weights=weights)))
    if deviation == 0:
        return replace(start, function=Expanded(terms, mean, np.zeros(columns.shape[1])))
    # A prior variance falls with the square of the degree: smooth functions first.
    smooth = 1 / terms.orders
    centers = np.average(columns, axis=0, weights=weights)
    roots = np.sqrt(weights)
    rows = roots[:, None] * (columns - centers) * smooth
    scaled = roots * (target - mean) / deviation
    evidence = maximize_evidence(rows, scaled, terms.group_of, start.evidence, iterations)
    coefficients = deviation * smooth * evidence.coefficients
    intercept = mean - float(centers @ coefficients)
    return replace(start, function=Expanded(terms, intercept, coefficients), evidence=evidence)
