"""From rows to fits: which surrogate, how far it can be trusted, and its refits.

Two kinds of rows, one interface: `RowFitter` for trials that ran to their end and for segments,
`CurveFitter` for trials of which some were stopped early.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.curve_accounts import Accounts, fit_curves
from raytune_pipe.analysis.curve_model import Curves
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.analysis.resampling import folds, r_squared
from raytune_pipe.components.estimators import Boosting, Estimator, Expansion
from raytune_pipe.components.surrogates import Surrogate

Array = NDArray[np.float64]

LEAST_ROWS_FOR_TREES = 60
"""With fewer rows trees are never the better choice."""
BEYOND_CHANCE = 1.645
"""Standard errors by which trees must predict better to be chosen: at equal skill the expansion
has the better shares."""


class HeldOut(NamedTuple):
    """What surrogates predict of trials that they have not seen, ``[scores]`` each."""

    target: Array
    predicted: Array
    row: NDArray[np.int64]
    """The row of the observations that a score belongs to."""

    @property
    def squared_errors(self) -> Array:
        """Of every prediction, ``[scores]``."""
        errors: Array = (self.target - self.predicted) ** 2
        return errors

    def r_squared(self, weights: Array) -> float:
        """The fraction of the variance explained, by weights of the observations' rows."""
        return r_squared(self.target, self.predicted, weights[self.row])

    def r2(self, weights: Sequence[Array]) -> Estimate:
        """The same with its interval, from the weights of resamples."""
        value = np.array([self.r_squared(np.ones_like(weights[0]))])
        resampled = np.array([[self.r_squared(one)] for one in weights])
        return estimates_of(value, resampled).clipped(-np.inf, 1.0).each()[0]


class Fitter(Protocol):
    """What can be fitted to all trials, to resampled ones, and to shuffled ones."""

    @property
    def method(self) -> str:
        """The surrogate in a word or two."""
        ...

    @property
    def effective_trials(self) -> float:
        """How many finished trials the data are worth."""
        ...

    @property
    def unseen(self) -> float:
        """The part of the trials whose score at the full budget is not known."""
        ...

    def held_out(self, rng: np.random.Generator) -> HeldOut:
        """The target and its prediction by surrogates that have not seen the trial."""
        ...

    def fits(self, weights: Sequence[Array]) -> Fits:
        """To all rows, and to rows weighted by each resample."""
        ...

    def shuffled(self, rng: np.random.Generator) -> Surrogate:
        """To all rows, their hyperparameters dealt out anew, so that none has an effect."""
        ...


@dataclass(frozen=True)
class RowFitter:
    """Fits an estimator to rows."""

    rows: Observations
    estimator: Estimator

    @property
    def method(self) -> str:
        """The estimator's kind."""
        return self.estimator.kind

    @property
    def effective_trials(self) -> float:
        """All of them."""
        return float(self.rows.trials)

    @property
    def unseen(self) -> float:
        """None: a row is all there is."""
        return 0.0

    def held_out(self, rng: np.random.Generator) -> HeldOut:
        """In parts by trial; target and prediction less what the context alone lets expect."""
        rows, predicted = self.rows, np.empty(len(self.rows.target))
        context = tuple(map(rows.space.names.index, rows.context))
        by_context = np.zeros(len(predicted))
        for test in folds(rows.clusters["trials"], rng):
            surrogate = self.estimator.fit(rows.space, rows.units[~test], rows.target[~test])
            predicted[test] = surrogate.predict(rows.units[test])
            if context:
                by_context[test] = surrogate.expected(context, rows.units[test][:, context])
        return HeldOut(rows.target - by_context, predicted - by_context, np.arange(len(predicted)))

    def fits(self, weights: Sequence[Array]) -> Fits:
        """To all rows, and to weighted ones."""
        fitted = self.estimator.fit(self.rows.space, self.rows.units, self.rows.target)
        return Fits(self.rows.space, fitted, tuple(fitted.refit(one) for one in weights))

    def shuffled(self, rng: np.random.Generator) -> Surrogate:
        """To a permuted target."""
        target = rng.permutation(self.rows.target)
        return self.estimator.fit(self.rows.space, self.rows.units, target)


@dataclass(frozen=True)
class CurveFitter:
    """Fits the model of learning curves; all its surrogates are those at the full budget."""

    rows: Observations
    curves: Curves

    @property
    def method(self) -> str:
        """What it is."""
        return "expansion of learning curves"

    @cached_property
    def model(self) -> Accounts:
        """The model of all trials."""
        return fit_curves(self.rows.space, self.curves)

    @property
    def reached(self) -> NDArray[np.int64]:
        """The last rung of each trial, ``[trials]``."""
        reached: NDArray[np.int64] = (~np.isnan(self.curves.scores)).sum(axis=1) - 1
        return reached

    @property
    def effective_trials(self) -> float:
        """A trial counts as much as scores at its last rung tell of those at the full budget.

        That is the squared correlation of the two functions over the space.
        """
        full = self.model.at().coefficients
        at_rungs = [self.model.at(rung).coefficients for rung in range(len(self.curves.budgets))]
        told = [_squared_correlation(one, full) for one in at_rungs]
        return float(np.array(told)[self.reached].sum())

    @property
    def unseen(self) -> float:
        """Most of them, where most were stopped."""
        return float(np.isnan(self.curves.scores[:, -1]).mean())

    def held_out(self, rng: np.random.Generator) -> HeldOut:
        """Scores at all rungs, each less the mean of those that got there."""
        scores, reported = self.curves.scores, ~np.isnan(self.curves.scores)
        predicted = np.empty_like(scores)
        for test in folds(self.rows.clusters["trials"], rng):
            model = fit_curves(self.rows.space, self.curves.of(np.flatnonzero(~test)))
            for rung in range(scores.shape[1]):
                predicted[test, rung] = model.at(rung).predict(self.curves.units[test])
        means = np.nanmean(scores, axis=0)
        return HeldOut(
            target=(scores - means)[reported],
            predicted=(predicted - means)[reported],
            row=np.nonzero(reported)[0],
        )

    def fits(self, weights: Sequence[Array]) -> Fits:
        """At the full budget, and at each rung, to all trials and to those of any weight."""
        refits = self.model.refits([np.flatnonzero(one) for one in weights])
        space, budgets = self.rows.space, self.curves.budgets.tolist()
        at_budgets = [
            (budget, Fits(space, self.model.at(rung), tuple(one.at(rung) for one in refits)))
            for rung, budget in enumerate(budgets)
        ]
        return replace(at_budgets[-1][1], at_budgets=tuple(at_budgets))

    def shuffled(self, rng: np.random.Generator) -> Surrogate:
        """To curves dealt out anew."""
        units = rng.permutation(self.curves.units)
        shuffled = Curves(units, self.curves.budgets, self.curves.scores)
        return fit_curves(self.rows.space, shuffled).at()


def choose(
    rows: Observations, rng: np.random.Generator, estimator: Estimator | None = None
) -> tuple[Fitter, HeldOut]:
    """The expansion, or trees where they predict held-out trials better beyond chance.

    Where an ``estimator`` is given, there is nothing to choose.
    """
    if estimator:
        fitter = RowFitter(rows, estimator)
        return fitter, fitter.held_out(rng)
    expansion, trees = RowFitter(rows, Expansion()), RowFitter(rows, Boosting())
    held_out = expansion.held_out(np.random.default_rng(seed := int(rng.integers(2**32))))
    if len(rows.target) < LEAST_ROWS_FOR_TREES or len(rows.clusters) > 1:
        return expansion, held_out
    by_trees = trees.held_out(np.random.default_rng(seed))
    gain = held_out.squared_errors - by_trees.squared_errors
    is_better = gain.mean() > BEYOND_CHANCE * gain.std() / np.sqrt(len(gain))
    return (trees, by_trees) if is_better else (expansion, held_out)


def _squared_correlation(left: Array, right: Array) -> float:
    sizes: Sequence[float] = (float(left @ left), float(right @ right))
    return float(left @ right) ** 2 / (sizes[0] * sizes[1]) if min(sizes) > 0 else 0.0
