"""Which hyperparameters matter: variance shares with intervals, or the reason not to rank."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
from threadpoolctl import threadpool_limits

from raytune_pipe.analysis.coverage import crowding_notes, design_coverage
from raytune_pipe.analysis.early_stopping import CENSORED, stopped_curves
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import CurveFitter, Fitter, HeldOut, choose
from raytune_pipe.analysis.hidden import (
    hidden_note,
    hidden_of_explained,
    hidden_variance,
    with_hidden,
)
from raytune_pipe.analysis.observations import Array, Observations, trial_observations
from raytune_pipe.analysis.ranking import HyperparameterImportance, Importance, PairImportance
from raytune_pipe.analysis.resampling import resample_weights, seed_noise
from raytune_pipe.analysis.segments import is_population, segment_observations
from raytune_pipe.analysis.verdicts import tiers_of, verdicts_of
from raytune_pipe.components.estimators import Estimator
from raytune_pipe.components.surrogates import Shares
from raytune_pipe.results.reading import Results

LEAST_ROWS = 20
"""With fewer rows the top hyperparameter is too often a wrong one (docs/importance.md)."""
LEAST_TRIALS = 4
"""With fewer trials there is nothing to resample, however many segments they have."""
LEAST_R2 = 0.1
"""Up to this cross-validated R2 nothing is ranked with 100 rows or fewer: pure noise reaches it now
and then. With more rows it falls with the root of their number."""
SURE_R2 = 0.02
"""Where the interval of R2 lies above this, little explained is enough to rank."""
VISIBLE_PAIR = 0.01
"""Pairs with a smaller share are not listed."""
SHUFFLES = 10
"""Fits to hyperparameters dealt out anew, which say what shares come of nothing."""


@dataclass(frozen=True)
class Ranked:
    """A ranking with what it was read from."""

    importance: Importance
    rows: Observations
    fitter: Fitter | None = None
    """None where nothing was fitted."""
    held_out: HeldOut | None = None
    """None likewise."""
    fits: Fits | None = None
    """None where nothing was ranked."""


def rank_importance(
    results: Results,
    *,
    estimator: Estimator | None = None,
    seed: int = 0,
    resamples: int = 100,
) -> Importance:
    """Rank the searched hyperparameters by their share of the objective's variance.

    The shares are those of a surrogate over the declared search space, so a log-uniform learning
    rate counts in decades: the ``estimator``, or where it is None the one that predicts best. Of
    trials that were stopped early whole curves count, and a population is measured on its segments.
    Every figure has a 90 % interval from ``resamples`` refits to resampled trials. Where the data
    say too little there is no ranking, and a reason. The same results, estimator and seed give the
    same answer.
    """
    with one_thread():
        return rank(results, estimator, np.random.default_rng(seed), resamples).importance


def one_thread() -> threadpool_limits:
    """Holds BLAS to one thread: on small matrices two take 34 s where one takes 1.8."""
    import_module("scipy.linalg")  # only what is loaded is limited, and scipy brings its own BLAS
    return threadpool_limits(limits=1, user_api="blas")


def rank(
    results: Results, estimator: Estimator | None, rng: np.random.Generator, resamples: int
) -> Ranked:
    """`rank_importance`, with the fits that other readings are taken from."""
    rows = segment_observations(results) if is_population(results) else trial_observations(results)
    coverage = design_coverage(rows)
    described = Importance(
        objective=rows.objective,
        method="",
        trials=rows.trials,
        rows=len(rows.target),
        r2=None,
        refused=_too_little(rows),
        coverage=coverage,
        notes=rows.notes,
    )
    if described.refused:
        return Ranked(described, rows)
    fitter, held_out = _fitter(results, rows, estimator, rng)
    weights = [resample_weights(rows.clusters, rng) for _ in range(resamples)]
    r2 = held_out.r2(weights)
    hidden = hidden_variance(held_out)
    described = replace(
        described,
        method=(
            f"variance shares over the declared space ({fitter.method}); 90 % intervals from "
            f"{resamples} resamples of {' and '.join(rows.clusters)}"
        ),
        r2=r2,
        unexplained=Estimate(1 - r2.value, 1 - r2.high, 1 - r2.low),
        seed_noise=seed_noise(rows.units, rows.target),
        refused=_too_weak(r2, len(rows.target)),
        notes=tuple(
            note
            for note in (
                *rows.notes,
                *_stopping_notes(rows, fitter),
                *crowding_notes(coverage),
                hidden_note(hidden),
                _doubt(r2),
            )
            if note
        ),
    )
    if described.refused:
        return Ranked(described, rows, fitter, held_out)
    fits = fitter.fits(weights)
    floor = _floor(fitter, fits.surrogate.shares(), r2, rng)
    effective = fitter.effective_trials
    described = replace(described, floor=floor, effective_trials=effective)
    hidden = hidden_of_explained(hidden, r2.value, fitter.unseen)
    ranked = _ranked(
        described, rows, [one.shares() for one in (fits.surrogate, *fits.refits)], hidden, rng
    )
    return Ranked(ranked, rows, fitter, held_out, fits)


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


def _fitter(
    results: Results, rows: Observations, estimator: Estimator | None, rng: np.random.Generator
) -> tuple[Fitter, HeldOut]:
    is_plain = estimator is not None or is_population(results)
    curves = None if is_plain else stopped_curves(results, rows)
    if curves is None:
        return choose(rows, rng, estimator)
    fitter = CurveFitter(rows, curves)
    return fitter, fitter.held_out(rng)


def _stopping_notes(rows: Observations, fitter: Fitter) -> Iterator[str]:
    """What became of trials that had not come to their end, by status."""
    how = (
        "their reports count up to there, the rest is what such curves come to, and intervals "
        "allow for what begins late"
        if isinstance(fitter, CurveFitter)
        else "counted with their last score, so what works late is underrated"
    )
    for status in CENSORED:
        if status in rows.status:
            yield f"{rows.status.count(status)} {status}: {how}."


def _too_weak(r2: Estimate, rows: int) -> str | None:
    least = LEAST_R2 * min(1.0, (100 / rows) ** 0.5)
    if r2.value > least or r2.low > SURE_R2:
        return None
    return (
        f"the hyperparameters must predict the objective with a cross-validated R2 above "
        f"{least:.2g}, or surely above {SURE_R2}, but got {r2.value:.2f} ({r2.low:.2f} to "
        f"{r2.high:.2f}): run more trials, or search wider ranges"
    )


def _doubt(r2: Estimate) -> str | None:
    if r2.low > 0:
        return None
    return "the interval of R2 reaches to 0 and below: other trials might well be ranked otherwise."


def _floor(fitter: Fitter, shares: Shares, r2: Estimate, rng: np.random.Generator) -> float:
    """The share that 95 % of idle hyperparameters stay below, at the noise that is left."""
    if shares.variance == 0:
        return 0.0
    idle = [fitter.shuffled(rng).shares() for _ in range(SHUFFLES)]
    variances = np.concatenate([one.total * one.variance for one in idle])
    left = np.quantile(variances, 0.95) * (1 - max(r2.value, 0.0))
    return float(min(left / shares.variance, 1.0))


def _ranked(
    described: Importance,
    rows: Observations,
    of_all: list[Shares],
    hidden: float,
    rng: np.random.Generator,
) -> Importance:
    """With the shares ``of_all``, the surrogate's and those of its refits."""
    context = [rows.space.names.index(name) for name in rows.context]
    shares, *seen = (one.without(context) for one in of_all)
    refits = [with_hidden(one, hidden, rng) for one in seen]
    totals, seen_totals = (np.array([one.total for one in each]) for each in (refits, seen))
    names = rows.space.names
    ranked, beside = _each(names, shares, refits), _each(names, of_all[0], of_all[1:])
    order = [int(place) for place in np.argsort(-shares.total) if names[place] not in rows.context]
    ordered = [names[place] for place in order]
    return replace(
        described,
        ranking=tuple(ranked[place] for place in order),
        tiers=tiers_of(ordered, totals[:, order]),
        verdicts=verdicts_of(
            ordered, shares.total[order], totals[:, order], seen_totals[:, order], rows.trials
        ),
        context=tuple(beside[names.index(name)] for name in rows.context),
        pairs=_pairs(names, shares.pairs, np.array([one.pairs for one in refits])),
    )


def _each(
    names: Sequence[str], shares: Shares, refits: Sequence[Shares]
) -> list[HyperparameterImportance]:
    first = _shares(shares.first, np.array([one.first for one in refits]))
    total = _shares(shares.total, np.array([one.total for one in refits]))
    return [HyperparameterImportance(*one) for one in zip(names, first, total, strict=True)]


def _shares(values: Array, resampled: Array) -> list[Estimate]:
    return estimates_of(values, resampled).clipped(0.0, 1.0).each()


def _pairs(names: Sequence[str], shares: Array, resampled: Array) -> tuple[PairImportance, ...]:
    left, right = np.triu_indices(len(names), k=1)
    labels = itertools.combinations(names, 2)
    estimates = _shares(shares[left, right], resampled[:, left, right])
    pairs = [
        PairImportance(pair, estimate)
        for pair, estimate in zip(labels, estimates, strict=True)
        if estimate.value >= VISIBLE_PAIR
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.share.value))
