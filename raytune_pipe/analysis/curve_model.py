"""A model of learning curves: what stopped trials say about the score at the full budget.

The score of trial i at budget b is f(x_i) + sum_j psi_j(b) g_j(x_i) + deviations of the trial's
own, of the same form, + noise. f is the score at the full budget; the psi_j are powers of the
budget that fade towards it, as learning curves do; the g_j, of low degree, say how hyperparameters
shift the curve before. Every part has a Gaussian prior; the variances maximize the evidence.
Stopping depends only on what was reported, so a model of all reports may leave it out of account
(missing at random; Rubin 1976, doi:10.1093/biomet/63.3.581); a fit to last reports may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from raytune_pipe.components.estimators_evidence import (
    FLOOR,
    LEAST_NOISE,
    VANISHED,
    group_sums,
)
from raytune_pipe.components.estimators_expansion import REVIVED, Expanded, Terms
from raytune_pipe.search_space import SearchSpace

Array = NDArray[np.float64]

DEGREES = (6, 4)
"""Degrees of f, in one hyperparameter and in a pair: few trials reach the full budget."""
POWERS = (0.5, 1.0, 2.0)
"""How curves may approach their end."""
COLD_ITERATIONS = 60
WARM_ITERATIONS = 15


@dataclass(frozen=True)
class Curves:
    """Scores of trials at a ladder of budgets, each up to the rung that it has reached."""

    units: Array
    """[trials, axes], NaN where a hyperparameter does not apply."""
    budgets: Array
    """[rungs], rising; the last is the full budget."""
    scores: Array
    """[trials, rungs], NaN beyond what a trial has reached; every trial has the first."""

    def of(self, trials: NDArray[np.int64]) -> Curves:
        """Some of the trials."""
        return replace(self, units=self.units[trials], scores=self.scores[trials])


class Variances(NamedTuple):
    """What maximizes the evidence, relative to the variance of all scores."""

    prior: Array
    """[groups] of columns."""
    trial: Array
    """[fades]: of a trial's own deviations."""
    noise: float


class Design(NamedTuple):
    """Columns of f and of every g_j at each rung."""

    terms: Terms
    fades: Array
    """[1 + powers, rungs]: 1, then each psi_j, 1 at the first rung and 0 at the last."""
    shifting: NDArray[np.bool_]
    """[columns of f]: which of them the g_j have."""
    group_of: NDArray[np.int64]
    """[all columns]"""

    def rows(self, units: Array, rungs: int) -> Array:
        """``[trials, rungs, columns]`` up to a rung."""
        columns = self.terms.columns(units) / self.terms.orders
        full = np.column_stack([np.ones(len(units)), columns])
        shifts = full[:, np.append(True, self.shifting)]
        parts = [full if j == 0 else shifts for j in range(len(self.fades))]
        return np.concatenate(
            [
                fade[None, :rungs, None] * part[:, None, :]
                for fade, part in zip(self.fades, parts, strict=True)
            ],
            axis=2,
        )


class _Block(NamedTuple):
    """Trials that have reached the same rung."""

    rows: Array
    """[trials, rungs, columns]"""
    scores: Array
    """[trials, rungs], standardized."""


class _White(NamedTuple):
    """A block in which a trial's own deviations and the noise are independent, of variance 1."""

    rows: Array
    scores: Array
    fades: Array
    """[1 + powers, rungs]"""
    inverse: Array
    """[rungs, rungs]: what it was multiplied by."""


@dataclass(frozen=True)
class FittedCurves:
    """A fitted model, of all trials or of some."""

    design: Design
    curves: Curves
    variances: Variances
    coefficients: Array
    """[columns] of f and all g_j, for standardized scores."""

    def at(self, rung: int = -1) -> Expanded:
        """The expected score at a rung, by default at the full budget, over the space."""
        design = self.design
        mean, deviation = _scale(self.curves)
        size = len(design.shifting)
        coefficients = self.coefficients[: 1 + size].copy()
        shifts = self.coefficients[1 + size :].reshape(len(POWERS), -1)
        inside = np.append(True, design.shifting)
        coefficients[inside] += design.fades[1:, rung] @ shifts
        scaled = deviation * coefficients[1:] / design.terms.orders
        return Expanded(design.terms, mean + deviation * float(coefficients[0]), scaled)

    def refit(self, trials: NDArray[np.int64]) -> FittedCurves:
        """Fit again to some of the trials; see `FittedExpansion.refit`."""
        return _fitted(self.design, self.curves.of(trials), WARM_ITERATIONS, self.variances)


def fit_curve_model(space: SearchSpace, curves: Curves, shift_degree: int) -> FittedCurves:
    """Fit the model to trials that ended at any rung; with a ``shift_degree`` of 0 without g_j."""
    design = _design(space, curves.budgets, shift_degree)
    return _fitted(design, curves, COLD_ITERATIONS, None)


def _design(space: SearchSpace, budgets: Array, shift_degree: int) -> Design:
    terms = Terms(space, DEGREES)
    relative = budgets / budgets[0]
    fades = np.array([relative**-power - relative[-1] ** -power for power in POWERS])
    shifting = terms.orders <= shift_degree
    groups = len(terms.groups)
    full = np.append(groups, terms.group_of)
    shifts = np.append(groups, terms.group_of[shifting])
    numbers = [full, *(shifts + (groups + 1) * (j + 1) for j in range(len(POWERS)))]
    return Design(
        terms=terms,
        fades=np.vstack([np.ones(len(budgets)), fades / fades[:, :1]]),
        shifting=shifting,
        group_of=np.unique(np.concatenate(numbers), return_inverse=True)[1],
    )


def _scale(curves: Curves) -> tuple[float, float]:
    return float(np.nanmean(curves.scores)), float(np.nanstd(curves.scores)) or 1.0


def _fitted(
    design: Design, curves: Curves, iterations: int, start: Variances | None
) -> FittedCurves:
    blocks = list(_blocks(design, curves))
    sizes = _sizes(design, blocks)
    variances = _even(sizes, len(design.fades)) if start is None else _revived(start, sizes)
    for _ in range(iterations):
        variances = _improved(design, blocks, variances)
    active = variances.prior[design.group_of] > VANISHED
    whites = [_whitened(design, block, variances, active) for block in blocks]
    mean, _ = _posterior(whites, variances.prior[design.group_of[active]])
    coefficients = np.zeros(len(active))
    coefficients[active] = mean
    return FittedCurves(design, curves, variances, coefficients)


def _blocks(design: Design, curves: Curves) -> Iterator[_Block]:
    mean, deviation = _scale(curves)
    reached = (~np.isnan(curves.scores)).sum(axis=1)
    for rungs in np.unique(reached):
        trials = reached == rungs
        scores = (curves.scores[trials, :rungs] - mean) / deviation
        yield _Block(design.rows(curves.units[trials], int(rungs)), scores)


def _sizes(design: Design, blocks: list[_Block]) -> Array:
    """Mean over all reports of the sum of squares of each group's columns, ``[groups]``."""
    reports = sum(block.scores.size for block in blocks)
    squares = sum(np.einsum("ikp,ikp->p", block.rows, block.rows) for block in blocks)
    return np.maximum(np.bincount(design.group_of, squares / reports), FLOOR)


def _even(sizes: Array, fades: int) -> Variances:
    """Half of the variance split among the groups, the rest among trials and noise."""
    return Variances(0.5 / (len(sizes) * sizes), np.full(fades, 0.2 / fades), 0.2)


def _revived(start: Variances, sizes: Array) -> Variances:
    lifted = np.maximum(start.prior, REVIVED / (len(sizes) * sizes))
    return Variances(lifted, np.maximum(start.trial, LEAST_NOISE), start.noise)


def _whitened(
    design: Design, block: _Block, variances: Variances, active: NDArray[np.bool_]
) -> _White:
    rungs = block.scores.shape[1]
    fades = design.fades[:, :rungs]
    covariance = (fades.T * variances.trial) @ fades + variances.noise * np.eye(rungs)
    triangle = cholesky(covariance, lower=True, check_finite=False)
    inverse = solve_triangular(triangle, np.eye(rungs), lower=True, check_finite=False)
    return _White(
        rows=inverse @ block.rows[:, :, active],
        scores=block.scores @ inverse.T,
        fades=fades @ inverse.T,
        inverse=inverse,
    )


def _posterior(whites: list[_White], prior: Array) -> tuple[Array, Array]:
    """Mean ``[columns]`` and a root ``[columns, columns]`` of the covariance, R with R'R."""
    precision, products = np.diag(1 / prior), np.zeros(len(prior))
    for white in whites:
        flat = white.rows.reshape(white.scores.size, len(prior))
        precision += flat.T @ flat
        products += flat.T @ white.scores.ravel()
    triangle = cholesky(precision, lower=True, check_finite=False)
    root = solve_triangular(triangle, np.eye(len(prior)), lower=True, check_finite=False)
    return root.T @ (root @ products), root


def _improved(design: Design, blocks: list[_Block], variances: Variances) -> Variances:
    """One step up the evidence, as in `maximize_evidence`, for all three kinds of variance."""
    active = variances.prior[design.group_of] > VANISHED
    groups = design.group_of[active]
    prior = variances.prior[groups]
    whites = [_whitened(design, block, variances, active) for block in blocks]
    mean, root = _posterior(whites, prior)
    unsure = np.clip(1 - (root**2).sum(axis=0) / prior, 0.0, 1.0)
    count = len(variances.prior)
    explained = group_sums(groups, (mean / prior) ** 2, count)
    expected = group_sums(groups, unsure / prior, count)
    kept = variances.prior > VANISHED
    risen = variances.prior * _root_ratio(explained, expected)
    by_trial, by_noise = np.zeros((2, len(design.fades))), np.zeros((2, 1))
    for white in whites:
        moments = _moments(white, white.scores - white.rows @ mean, root)
        by_trial += moments(white.fades)
        by_noise += moments(white.inverse.T).sum(axis=1, keepdims=True)
    return Variances(
        prior=np.where(kept, np.maximum(risen, FLOOR), FLOOR),
        trial=np.maximum(variances.trial * _root_ratio(*by_trial), FLOOR),
        noise=max(variances.noise * float(np.sqrt(by_noise[0, 0] / by_noise[1, 0])), LEAST_NOISE),
    )


def _root_ratio(explained: Array, expected: Array) -> Array:
    ratio: Array = np.sqrt((explained + FLOOR) / (expected + FLOOR))
    return ratio


def _moments(white: _White, residual: Array, root: Array) -> Callable[[Array], Array]:
    """From directions z ``[directions, rungs]`` to squares of z' C^-1 y and z' C^-1 z ``[2, ...]``.

    Summed over trials; C is the covariance of a trial's scores, y what they miss the mean by.
    """
    trials, rungs = residual.shape
    known = (white.rows.reshape(trials * rungs, -1) @ root.T).reshape(trials, rungs, -1)
    seen = residual.T @ residual
    left = trials * np.eye(rungs) - np.tensordot(known, known, axes=((0, 2), (0, 2)))

    def moments(directions: Array) -> Array:
        return np.array(
            [
                np.maximum(((directions @ form) * directions).sum(axis=1), 0.0)
                for form in (seen, left)
            ]
        )

    return moments
