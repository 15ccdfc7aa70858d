"""Which hyperparameters matter: variance shares with intervals, or the reason not to rank."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from raytune_pipe.analysis.coverage import crowding_notes, design_coverage
from raytune_pipe.analysis.early_stopping import CENSORED, stopped_curves
from raytune_pipe.analysis.estimates import Estimate, estimates_of
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.fitting import CurveFitter, Fitter, HeldOut, choose
from raytune_pipe.analysis.observations import Array, Observations, trial_observations
from raytune_pipe.analysis.resampling import resample_weights, seed_noise
from raytune_pipe.analysis.segments import is_population, segment_observations
from raytune_pipe.analysis.verdicts import Verdict, tiers_of, verdicts_of
from raytune_pipe.components.estimators import Estimator
from raytune_pipe.components.surrogates import Shares
from raytune_pipe.results.reading import Results

LEAST_ROWS = 20
"""With fewer rows the top hyperparameter is too often a wrong one (docs/importance.md)."""
LEAST_TRIALS = 4
"""With fewer trials there is nothing to resample, however many segments they have."""
LEAST_R2 = 0.1
"""Up to this cross-validated R2 nothing is ranked: pure noise reaches it now and then."""
SURE_R2 = 0.02
"""Where the interval of R2 lies above this, little explained is enough to rank."""
VISIBLE_PAIR = 0.01
"""Pairs with a smaller share are not listed."""
SHUFFLES = 10
"""Fits to hyperparameters dealt out anew, which say what shares come of nothing."""


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
    effective_trials: float | None = None
    """How many trials that ran to their end the data are worth."""
    unexplained: Estimate | None = None
    """Share of the variance left by held-out predictions: seed noise and what was not found."""
    seed_noise: Estimate | None = None
    """Share of it between trials of equal hyperparameters; None without enough of these."""
    floor: float = 0.0
    """Shares up to here come of nothing: 95 % of those in shuffled data are smaller."""
    ranking: tuple[HyperparameterImportance, ...] = ()
    """Most important first, by total share."""
    tiers: tuple[tuple[str, ...], ...] = ()
    """The ranking, parted where the data can tell all above from all below."""
    verdicts: tuple[Verdict, ...] = ()
    """An order for each pair of hyperparameters, and how sure it is."""
    context: tuple[HyperparameterImportance, ...] = ()
    """What is not a hyperparameter, such as a segment's generation: its shares of all that is
    explained, while those of hyperparameters are of what it does not explain by itself."""
    pairs: tuple[PairImportance, ...] = ()
    """Interactions, the strongest first; the smallest are left out."""
    coverage: Mapping[str, float] = field(default_factory=dict)
    """The fraction of each range that trials cover, see `design_coverage`; 1 is even."""
    notes: tuple[str, ...] = ()
    """What was done with trials that did not simply finish."""

    @property
    def above(self) -> dict[str, dict[str, float]]:
        """``above[a][b]``: the probability that a's total share exceeds b's."""
        above: dict[str, dict[str, float]] = {one.name: {} for one in self.ranking}
        for one in self.verdicts:
            above[one.higher][one.lower] = one.probability
            above[one.lower][one.higher] = 1 - one.probability
        return above

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; an estimate is a mapping of value, low and high."""
        return {name: _plain(value) for name, value in vars(self).items()}

    def to_frame(self) -> pd.DataFrame:
        """One row a hyperparameter, most important first; first-order and total with intervals."""
        columns = ["first", "first_low", "first_high", "total", "total_low", "total_high", "tier"]
        tier_of = {name: 1 + tier for tier, names in enumerate(self.tiers) for name in names}
        rows = [[*one.first, *one.total, tier_of[one.name]] for one in self.ranking]
        names = pd.Index([one.name for one in self.ranking], name="name")
        frame = pd.DataFrame(rows, index=names, columns=columns, dtype=float)
        return frame.astype({"tier": "int64"})


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
        method="none",
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
    described = replace(
        described,
        method=(
            f"variance shares over the declared space ({fitter.method}); 90 % intervals from "
            f"{resamples} resamples of {' and '.join(rows.clusters)}"
        ),
        r2=r2,
        unexplained=Estimate(1 - r2.value, 1 - r2.high, 1 - r2.low),
        seed_noise=seed_noise(rows.units, rows.target),
        refused=_too_weak(r2),
        notes=_with_doubt(
            (*rows.notes, *_stopping_notes(rows, fitter), *crowding_notes(coverage)), r2
        ),
    )
    if described.refused:
        return Ranked(described, rows, fitter, held_out)
    fits = fitter.fits(weights)
    floor = _floor(fitter, fits.surrogate.shares(), r2, rng)
    effective = fitter.effective_trials
    described = replace(described, floor=floor, effective_trials=effective)
    return Ranked(_ranked(described, rows, fits), rows, fitter, held_out, fits)


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
        "their reports count up to there, and the rest is what such curves come to"
        if isinstance(fitter, CurveFitter)
        else "counted with their last score, so what works late is underrated"
    )
    for status in CENSORED:
        if status in rows.status:
            yield f"{rows.status.count(status)} {status}: {how}."


def _too_weak(r2: Estimate) -> str | None:
    if r2.value > LEAST_R2 or r2.low > SURE_R2:
        return None
    return (
        f"the hyperparameters must predict the objective with a cross-validated R2 above "
        f"{LEAST_R2}, or surely above {SURE_R2}, but got {r2.value:.2f} ({r2.low:.2f} to "
        f"{r2.high:.2f}): run more trials, or search wider ranges"
    )


def _with_doubt(notes: Sequence[str], r2: Estimate) -> tuple[str, ...]:
    if r2.low > 0:
        return tuple(notes)
    doubt = (
        "the interval of R2 reaches to 0 and below: other trials might well be ranked otherwise."
    )
    return (*notes, doubt)


def _floor(fitter: Fitter, shares: Shares, r2: Estimate, rng: np.random.Generator) -> float:
    """The share that 95 % of idle hyperparameters stay below, at the noise that is left."""
    if shares.variance == 0:
        return 0.0
    idle = [fitter.shuffled(rng).shares() for _ in range(SHUFFLES)]
    variances = np.concatenate([one.total * one.variance for one in idle])
    left = np.quantile(variances, 0.95) * (1 - max(r2.value, 0.0))
    return float(min(left / shares.variance, 1.0))


def _ranked(described: Importance, rows: Observations, fits: Fits) -> Importance:
    context = [rows.space.names.index(name) for name in rows.context]
    of_all = [one.shares() for one in (fits.surrogate, *fits.refits)]
    shares, *refits = (one.without(context) for one in of_all)
    totals = np.array([one.total for one in refits])
    names = rows.space.names
    ranked, beside = _each(names, shares, refits), _each(names, of_all[0], of_all[1:])
    order = [int(place) for place in np.argsort(-shares.total) if names[place] not in rows.context]
    ordered = [names[place] for place in order]
    return replace(
        described,
        ranking=tuple(ranked[place] for place in order),
        tiers=tiers_of(ordered, totals[:, order]),
        verdicts=verdicts_of(ordered, shares.total[order], totals[:, order], rows.trials),
        context=tuple(beside[place] for place in context),
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


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value._asdict()
    if isinstance(value, Verdict):
        return value.to_mapping()
    if isinstance(value, HyperparameterImportance | PairImportance):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
