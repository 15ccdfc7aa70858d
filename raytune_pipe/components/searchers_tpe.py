"""The searcher that draws from results, and what it is told of the trials before."""

import importlib.util
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from raytune_pipe.base import Component, ConfigError, Count, Value, seed_draw, unit_draw
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.search_space import NO_VALUES, SearchSpace, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

Outcome = Literal["running", "finished", "stopped", "broken"]
"""How a trial stands: in progress or not begun, at its budget, stopped early, or without use."""


class Past(NamedTuple):
    """A trial that was drawn before, as far as it has come."""

    values: Values
    """What it was drawn with."""
    outcome: Outcome
    score: float = math.nan
    """Lower is better; NaN where there is none."""
    epoch: float = 0.0
    """The age of the weights that have the score."""


class Tpe(Component):
    """Draw where good results are likelier than bad ones: a tree-structured Parzen estimator.

    Two densities are kept of every hyperparameter, of the better trials and of the others, and the
    draw is where the first is largest beside the second (Bergstra et al. 2011, NeurIPS 24; as in
    Optuna, Akiba et al. 2019, arXiv:1907.10902). They lie on the declared scales; the first trials
    are drawn at random, by the user's priors. A trial that was stopped early counts by how far it
    came, one that broke as the worst, and one that still runs keeps others away from its place.
    Each draw follows from the seed and from what is known when it is made, so with several trials
    at once it depends on which of them end first; it is journaled before the trial starts.
    """

    kind: Literal["tpe"] = "tpe"
    """Name of the searcher."""
    startup: Count = 10
    """Trials drawn at random until so many have ended."""

    def plan(
        self, space: SearchSpace, trials: int, seed: int, own: Values = NO_VALUES
    ) -> list[dict[str, Value]]:
        """The values of the first trials, which need no results.

        Raises:
            ConfigError: Optuna is not installed.
        """
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError(
                "searcher.kind: tpe must have Optuna, which is not installed; run: pip install"
                " 'raytune-pipe[optuna]'"
            )
        return [self._at_random(space, seed, number) for number in range(min(trials, self.startup))]

    def suggest(
        self, space: SearchSpace, seed: int, past: Sequence[Past], attempt: int = 0
    ) -> dict[str, Value]:
        """The values of the next trial, after all ``past`` ones in the order they were drawn in.

        ``attempt`` counts draws that were of no use, so that the next one is another.
        """
        number = len(past)
        if attempt == 0 and sum(one.outcome != "running" for one in past) < self.startup:
            return self._at_random(space, seed, number)
        import optuna

        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            sampler = optuna.samplers.TPESampler(
                seed=seed_draw(seed, "tpe", number, attempt), n_startup_trials=1, constant_liar=True
            )
            study = optuna.create_study(sampler=sampler)
            study.add_trials([_as_trial(space, one) for one in past])
            return _drawn(space, study.ask())
        finally:
            optuna.logging.set_verbosity(verbosity)

    def _at_random(self, space: SearchSpace, seed: int, number: int) -> dict[str, Value]:
        """As a random search would draw the trial of that number."""
        return space.drawn({name: unit_draw(seed, "random", number, name) for name in space.names})


def _drawn(space: SearchSpace, trial: "Trial") -> dict[str, Value]:
    """Values of a new trial, parents first; a hyperparameter that does not apply is not asked."""
    values: dict[str, Value] = {}
    for one in space:
        if not one.applies(values):
            values[one.name] = None
        elif isinstance(one.distribution, Choice) and not one.distribution.ordered:
            values[one.name] = trial.suggest_categorical(one.name, one.distribution.labels)
        else:
            values[one.name] = one.distribution.from_unit(trial.suggest_float(one.name, 0.0, 1.0))
    return values


def _as_trial(space: SearchSpace, past: Past) -> "FrozenTrial":
    """Optuna's record of it. One that broke is a pruned trial without a value: the worst there is.

    What the search space does not hold, as an earlier configuration may, is left out.
    """
    from optuna.trial import TrialState, create_trial

    known = {
        one.name: one.distribution
        for one in space
        if one.distribution.contains(past.values.get(one.name))
    }
    is_scored = math.isfinite(past.score)
    is_finished = past.outcome == "finished" and is_scored
    state = TrialState.RUNNING if past.outcome == "running" else TrialState.PRUNED
    return create_trial(
        state=TrialState.COMPLETE if is_finished else state,
        value=past.score if is_finished else None,
        params={name: _param(each, past.values[name]) for name, each in known.items()},
        distributions={name: _distribution(each) for name, each in known.items()},
        intermediate_values={max(1, round(past.epoch)): past.score}
        if past.outcome == "stopped" and is_scored
        else {},
    )


def _param(distribution: Distribution, value: Value) -> Value:
    """A value as Optuna is told it: an unordered option as it is, all else by its unit."""
    if isinstance(distribution, Choice) and not distribution.ordered:
        return value
    return min(max(distribution.to_unit(value), 0.0), 1.0)


def _distribution(distribution: Distribution) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(distribution, Choice) and not distribution.ordered:
        return CategoricalDistribution(distribution.labels)
    return FloatDistribution(0.0, 1.0)
