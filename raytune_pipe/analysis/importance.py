"""Which hyperparameters matter: variance shares with intervals, or the reason not to rank."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.observations import Array, Observations, trial_observations
from raytune_pipe.analysis.resampling import held_out, r_squared, resample_weights
from raytune_pipe.analysis.segments import is_population, segment_observations
from raytune_pipe.components.estimators import Estimator, Expansion
from raytune_pipe.results.reading import Results

LEAST_ROWS = 20
"""With fewer rows the top hyperparameter is too often a wrong one (docs/importance.md)."""
LEAST_TRIALS = 4
"""With fewer trials there is nothing to resample, however many segments they have."""
LEAST_R2 = 0.1
"""Up to this cross-validated R2 nothing is ranked: pure noise reaches it now and then."""
VISIBLE_PAIR = 0.01
"""Pairs with a smaller share are not listed."""
DEFAULT_ESTIMATOR = Expansion()


@dataclass(frozen=True)
class HyperparameterImportance:
    """What one hyperparameter does to the objective, as fractions of the explained variance."""

    name: str
    first: Estimate
    """By itself (first-order)."""
    total: Estimate
    """With its interactions."""


@dataclass(frozen=True)
class PairImportance:
    """What two hyperparameters do only together, as a fraction of the explained variance."""

    names: tuple[str, str]
    share: Estimate


@dataclass(frozen=True)
class Importance:
    """A ranking of the hyperparameters, or the reason why there is none."""

    objective: str
    """What the variance is of, in words."""
    method: str
    """How the shares came about, in a line."""
    trials: int
    """Usable trials."""
    rows: int
    """What the estimator was fitted to: as many trials, or the segments of a population."""
    r2: Estimate | None
    """Cross-validated over trials; None where there was too little to fit."""
    refused: str | None
    """Why nothing is ranked; the rest is then empty."""
    ranking: tuple[HyperparameterImportance, ...] = ()
    """Most important first, by total share."""
    context: tuple[HyperparameterImportance, ...] = ()
    """Shares of what is not a hyperparameter, such as a segment's generation; not ranked."""
    pairs: tuple[PairImportance, ...] = ()
    """Interactions, the strongest first; the smallest are left out."""
    above: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """``above[a][b]``: the probability that a's total share exceeds b's."""
    notes: tuple[str, ...] = ()
    """What was done with trials that did not simply finish."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; an estimate is a mapping of value, low and high."""
        return {name: _plain(value) for name, value in vars(self).items()}

    def to_frame(self) -> pd.DataFrame:
        """One row a hyperparameter, most important first; first-order and total with intervals."""
        columns = ["first", "first_low", "first_high", "total", "total_low", "total_high"]
        rows = [[*one.first, *one.total] for one in self.ranking]
        names = pd.Index([one.name for one in self.ranking], name="name")
        return pd.DataFrame(rows, index=names, columns=columns, dtype=float)


def rank_importance(
    results: Results,
    *,
    estimator: Estimator = DEFAULT_ESTIMATOR,
    seed: int = 0,
    resamples: int = 200,
) -> Importance:
    """Rank the searched hyperparameters by their share of the objective's variance.

    The shares are those of a surrogate over the declared search space, so a log-uniform learning
    rate counts in decades. A population is measured on its segments. Every figure has a 90 %
    interval from ``resamples`` refits to resampled trials. Where the data say too little there is
    no ranking, and a reason. The same results, estimator and seed give the same answer.
    """
    rows = segment_observations(results) if is_population(results) else trial_observations(results)
    described = Importance(
        objective=rows.objective,
        method=(
            f"variance shares over the declared space ({estimator.kind}); 90 % intervals from "
            f"{resamples} resamples of {' and '.join(rows.clusters)}"
        ),
        trials=rows.trials,
        rows=len(rows.target),
        r2=None,
        refused=_too_little(rows),
        notes=rows.notes,
    )
    if described.refused:
        return described
    # The matrices are small: two BLAS threads take 34 s where one takes 1.8. Only what is loaded is
    # limited, and scipy brings a BLAS of its own.
    import_module("scipy.linalg")
    with threadpool_limits(limits=1, user_api="blas"):
        return _measured(described, rows, estimator, np.random.default_rng(seed), resamples)


def _measured(
    described: Importance,
    rows: Observations,
    estimator: Estimator,
    rng: np.random.Generator,
    resamples: int,
) -> Importance:
    weights = [resample_weights(rows.clusters, rng) for _ in range(resamples)]
    r2 = _r2(rows, held_out(rows, estimator, rng), weights)
    described = replace(described, r2=r2, refused=_too_weak(r2), notes=_with_doubt(rows.notes, r2))
    if described.refused:
        return described
    surrogate = estimator.fit(rows.space, rows.units, rows.target)
    fits = Fits(rows.space, surrogate, tuple(surrogate.refit(one) for one in weights))
    return _ranked(described, rows, fits)


def _too_little(rows: Observations) -> str | None:
    if not rows.hyperparameters:
        return "the experiment searched nothing: it needs a search_space"
    if rows.trials < LEAST_TRIALS:
        return f"at least {LEAST_TRIALS} usable trials are needed, but got {rows.trials}: run more"
    if len(rows.target) < LEAST_ROWS:
        what = "segments of trials" if len(rows.clusters) > 1 else "usable trials"
        return f"at least {LEAST_ROWS} {what} are needed, but got {len(rows.target)}: run more"
    if np.ptp(rows.target) == 0:
        return f"the objective must vary, but it is {rows.target[0]:g} in all of them"
    return None


def _too_weak(r2: Estimate) -> str | None:
    if r2.value > LEAST_R2:
        return None
    return (
        f"the hyperparameters must predict the objective with a cross-validated R2 above "
        f"{LEAST_R2}, but got {r2.value:.2f}: run more trials, or search wider ranges"
    )


def _with_doubt(notes: Sequence[str], r2: Estimate) -> tuple[str, ...]:
    if r2.low > 0:
        return tuple(notes)
    doubt = (
        "the interval of R2 reaches to 0 and below: other trials might well be ranked otherwise."
    )
    return (*notes, doubt)


def _r2(rows: Observations, predicted: Array, weights: Sequence[Array]) -> Estimate:
    value = r_squared(rows.target, predicted, np.ones(len(predicted)))
    resampled = [r_squared(rows.target, predicted, one) for one in weights]
    return (
        estimates_of(np.array([value]), np.array(resampled)[:, None])
        .clipped(-np.inf, 1.0)
        .each()[0]
    )


def _ranked(described: Importance, rows: Observations, fits: Fits) -> Importance:
    shares, refits = fits.surrogate.shares(), [one.shares() for one in fits.refits]
    first = _estimates(shares.first, np.array([one.first for one in refits]))
    totals = np.array([one.total for one in refits])
    total = _estimates(shares.total, totals)
    names = rows.space.names
    every = [HyperparameterImportance(*one) for one in zip(names, first, total, strict=True)]
    ordered = sorted(every, key=lambda one: -one.total.value)
    return replace(
        described,
        ranking=tuple(one for one in ordered if one.name not in rows.context),
        context=tuple(one for one in ordered if one.name in rows.context),
        pairs=_pairs(names, shares.pairs, np.array([one.pairs for one in refits])),
        above=_above(rows.hyperparameters, totals),
    )


def _estimates(values: Array, resampled: Array) -> list[Estimate]:
    return estimates_of(values, resampled).clipped(0.0, 1.0).each()


def _pairs(names: Sequence[str], shares: Array, resampled: Array) -> tuple[PairImportance, ...]:
    left, right = np.triu_indices(len(names), k=1)
    labels = itertools.combinations(names, 2)
    estimates = _estimates(shares[left, right], resampled[:, left, right])
    pairs = [
        PairImportance(pair, estimate)
        for pair, estimate in zip(labels, estimates, strict=True)
        if estimate.value >= VISIBLE_PAIR
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.share.value))


def _above(names: Sequence[str], totals: Array) -> dict[str, dict[str, float]]:
    """Fractions of the resamples; a tie counts half. ``totals`` is ``[resamples, axes]``."""
    return {
        name: {
            other: float(np.mean((np.sign(totals[:, index] - totals[:, place]) + 1) / 2))
            for place, other in enumerate(names)
            if place != index
        }
        for index, name in enumerate(names)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value._asdict()
    if isinstance(value, HyperparameterImportance | PairImportance):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
