"""Everything that a run says of its hyperparameters: the ranking, and what else its fits tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.analysis.ablation import Ablation, ablation
from raytune_pipe.analysis.best import best_trial
from raytune_pipe.analysis.budgets import BudgetImportance, importance_by_budget
from raytune_pipe.analysis.clones import CloneEffects, clone_effects
from raytune_pipe.analysis.effects import Effect, Surface, ToMetric, effects, surface
from raytune_pipe.analysis.failures import FailureImportance, failure_importance
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.folklore import Agreement, folklore
from raytune_pipe.analysis.good_trials import GoodTrials, good_trials
from raytune_pipe.analysis.importance import Ranked, one_thread, rank
from raytune_pipe.analysis.isolation import Isolation, isolations
from raytune_pipe.analysis.local import LocalImportance, local_importance
from raytune_pipe.analysis.optimum import MovingOptimum, moving_optimum
from raytune_pipe.analysis.phases import Phase, phases
from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.analysis.ranking import Importance
from raytune_pipe.analysis.segments import is_population
from raytune_pipe.analysis.warned_trials import WarnedTrials, warned_trials
from raytune_pipe.base import TooFewTrialsError
from raytune_pipe.components.estimators import Estimator
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import Values

Array = NDArray[np.float64]

LEAST_SURFACE = 0.05
"""A pair with a smaller share has no surface of its own worth showing."""


@dataclass(frozen=True)
class Shape:
    """How the objective depends on the hyperparameters, in values of the metric."""

    effects: tuple[Effect, ...]
    """Most important hyperparameter first."""
    surface: Surface | None
    """Of the strongest pair."""
    optimum: MovingOptimum | None
    """The best learning rate at each batch size, where both were searched."""


@dataclass(frozen=True)
class OfTrials:
    """What only whole trials can tell; a population's members are no such trials."""

    good: GoodTrials
    local: LocalImportance | None
    """Around the best trial; None where no trial is fit to be it."""
    ablation: Ablation | None
    """None likewise, and where the file's own trial is not known."""
    isolations: tuple[Isolation, ...]


@dataclass(frozen=True)
class Analysis:
    """All readings; those that a refusal or the kind of run leaves out are None or empty."""

    importance: Importance
    failures: tuple[FailureImportance, ...] = ()
    warnings: tuple[WarnedTrials, ...] = ()
    """What trials were warned of while they trained, whether or not they could be ranked."""
    shape: Shape | None = None
    folklore: tuple[Agreement, ...] = ()
    budgets: tuple[BudgetImportance, ...] = ()
    phases: tuple[Phase, ...] = ()
    """Of a population."""
    clones: CloneEffects | None = None
    """Of a population, whether or not it could be ranked."""
    of_trials: OfTrials | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON: the ranking's own entries, then one for each reading."""
        readings = {name: value for name, value in vars(self).items() if name != "importance"}
        return {**self.importance.to_mapping(), **plain(readings)}


def analyze(
    results: Results,
    *,
    estimator: Estimator | None = None,
    seed: int = 0,
    resamples: int = 100,
) -> Analysis:
    """The ranking of `rank_importance`, and all other readings of the same fits."""
    rng = np.random.default_rng(seed)
    with one_thread():
        ranked = rank(results, estimator, rng, resamples)
        of_population = is_population(results) and ranked.fitter is not None
        broken = () if of_population else _failures(ranked, estimator, rng, resamples)
        warned = warned_trials(results)
        clones = clone_effects(results, rng, resamples) if of_population else None
        if ranked.fits is None:
            return Analysis(ranked.importance, broken, warned, clones=clones)
        names = [one.name for one in ranked.importance.ranking]
        to_metric = _to_metric(results, ranked)
        return Analysis(
            importance=ranked.importance,
            failures=broken,
            warnings=warned,
            shape=_shape(ranked.fits, ranked.importance, names, to_metric),
            folklore=_folklore(ranked.fits, names),
            budgets=importance_by_budget(ranked.fits),
            phases=phases(ranked.rows, rng, resamples, estimator) if of_population else (),
            clones=clones,
            of_trials=_of_trials(results, ranked, ranked.fits, to_metric),
        )


def _failures(
    ranked: Ranked, estimator: Estimator | None, rng: np.random.Generator, resamples: int
) -> tuple[FailureImportance, ...]:
    return failure_importance(ranked.rows, estimator, rng, resamples) if ranked.fitter else ()


def _to_metric(results: Results, ranked: Ranked) -> ToMetric:
    """From targets to values of the metric; a population's change is turned round only.

    What a polynomial expects beyond all that was seen, at an edge or a cliff, is held to what was:
    no mean lies out there.
    """
    sign, rows = 1.0 if results.objective["mode"] == "min" else -1.0, ranked.rows
    least, greatest = rows.target.min(), rows.target.max()
    return lambda targets: sign * rows.scale.to_score(np.clip(targets, least, greatest))


def _shape(fits: Fits, importance: Importance, names: list[str], to_metric: ToMetric) -> Shape:
    pairs = [
        one.names
        for one in importance.pairs
        if one.share.value >= LEAST_SURFACE and one.share.low > 0 and set(one.names) <= set(names)
    ]
    found = {name.rpartition(".")[2]: name for name in names}
    both = [found[leaf] for leaf in ("lr", "batch_size") if leaf in found]
    return Shape(
        effects=effects(fits, names, to_metric),
        surface=surface(fits, pairs[0], to_metric) if pairs else None,
        optimum=moving_optimum(fits, both[0], both[1]) if len(both) == 2 else None,
    )


def _folklore(fits: Fits, names: list[str]) -> tuple[Agreement, ...]:
    axes = [fits.space.names.index(name) for name in names]
    values = fits.surrogate.shares().total[axes]
    totals = np.array([one.shares().total[axes] for one in fits.refits])
    return folklore(names, values, totals)


def _of_trials(
    results: Results, ranked: Ranked, fits: Fits, to_metric: ToMetric
) -> OfTrials | None:
    if is_population(results) or ranked.held_out is None:
        return None
    best = _best_values(results)
    trial: Mapping[str, Any] | None = results.experiment.get("trial")
    return OfTrials(
        good=good_trials(fits, ranked.rows, ranked.held_out),
        local=local_importance(fits, best) if best else None,
        ablation=ablation(fits, trial, best, to_metric) if trial and best else None,
        isolations=isolations(fits, ranked.rows, to_metric),
    )


def _best_values(results: Results) -> Values | None:
    try:
        return best_trial(results).values
    except TooFewTrialsError:
        return None
