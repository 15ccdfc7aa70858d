"""Which readings an analysis has, by kind of run, and what is left out where it is refused."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from raytune_pipe.analysis.full_analysis import Analysis, analyze
from raytune_pipe.components.estimators import Expansion

from benchmarks.importance.simulated_curves import ASHA, FIFO, search, world
from benchmarks.importance.simulated_populations import IDLE_WORLDS, WORLDS, population_run

SEED = 1


@pytest.fixture(scope="module")
def random_search() -> Analysis:
    """Of a world in which high learning rates diverge."""
    results = search(world("logistic", SEED), FIFO, 60, SEED)
    return analyze(results, estimator=Expansion(), resamples=5)


@pytest.fixture(scope="module")
def early_stopped() -> Analysis:
    return analyze(search(world("power laws", SEED), ASHA, 60, SEED), resamples=2)


@pytest.fixture(scope="module")
def population() -> Analysis:
    return analyze(population_run(WORLDS[0], members=12, epochs=16, seed=SEED), resamples=5)


def readings(analysis: Analysis) -> set[str]:
    """Those that are there."""
    return {name for name, value in vars(analysis).items() if value not in (None, ())}


def plain(analysis: Analysis) -> Mapping[str, object]:
    """As a program reads it; NaN would be refused."""
    mapping = json.loads(json.dumps(analysis.to_mapping(), allow_nan=False))
    assert isinstance(mapping, dict)
    return mapping


def test_trials_that_ran_to_their_end_have_readings_of_whole_trials(
    random_search: Analysis,
) -> None:
    assert random_search.importance.refused is None
    assert readings(random_search) == {"importance", "failures", "shape", "folklore", "of_trials"}
    [diverged] = random_search.failures
    assert (diverged.cause, diverged.trials) == ("diverged", 60)
    assert random_search.of_trials is not None
    assert random_search.of_trials.ablation is not None


def test_stopped_trials_tell_of_budgets_as_well(early_stopped: Analysis) -> None:
    assert early_stopped.importance.refused is None
    assert readings(early_stopped) >= {"importance", "shape", "folklore", "budgets", "of_trials"}
    assert [one.epochs for one in early_stopped.budgets] == [1, 3, 9, 27, 81]
    assert "learning curves" in early_stopped.importance.method


def test_populations_tell_of_phases_and_clones_but_not_of_whole_trials(
    population: Analysis,
) -> None:
    assert population.importance.refused is None
    assert readings(population) == {"importance", "shape", "folklore", "phases", "clones"}
    assert [one.name for one in population.phases] == ["early", "middle", "late"]
    ranked = {one.name for one in population.importance.ranking}
    assert {one.name for one in population.importance.context}.isdisjoint(ranked)
    assert population.shape is not None
    assert {one.name for one in population.shape.effects} == ranked


@pytest.mark.parametrize("kind", ["random_search", "early_stopped", "population"])
def test_what_is_said_is_json_with_an_entry_for_each_reading(
    kind: str, request: pytest.FixtureRequest
) -> None:
    analysis: Analysis = request.getfixturevalue(kind)
    mapping = plain(analysis)
    own = analysis.importance.to_mapping().keys()
    assert mapping.keys() == own | (vars(analysis).keys() - {"importance"})
    there = {name for name, value in mapping.items() if value not in (None, [])}
    assert there >= readings(analysis) - {"importance"}


def test_every_effect_is_shown_in_the_order_of_the_ranking(random_search: Analysis) -> None:
    assert random_search.shape is not None
    names = [one.name for one in random_search.importance.ranking]
    assert [one.name for one in random_search.shape.effects] == names


def test_nothing_is_expected_beyond_what_was_seen(random_search: Analysis) -> None:
    assert random_search.shape
    seen = [one.expected for one in random_search.shape.effects]
    least = min(float(one.low.min()) for one in seen)
    greatest = max(float(one.high.max()) for one in seen)
    scores = search(world("logistic", SEED), FIFO, 60, SEED).trials["score"]
    assert float(scores.min()) - 1e-9 <= least < greatest <= float(scores.max()) + 1e-9


def test_too_few_trials_leave_nothing_but_the_reason() -> None:
    analysis = analyze(search(world("parallel", SEED), FIFO, 10, SEED))
    assert readings(analysis) == {"importance"}
    assert "at least 20 usable trials" in str(analysis.importance.refused)
    assert plain(analysis)["ranking"] == []


def test_where_scores_are_chance_what_breaks_training_is_still_told() -> None:
    results = search(world("parallel", SEED), FIFO, 60, SEED)
    chance = np.random.default_rng(3).random(60)
    by_chance = results.trials.assign(score=chance)
    refused = analyze(replace(results, trials=by_chance), estimator=Expansion(), resamples=5)
    assert refused.importance.refused is not None
    assert readings(refused) == {"importance"}
    breaks = results.trials["model.activation"].to_numpy() == "tanh"
    some_failed = by_chance.assign(
        status=np.where(breaks, "failed", "completed"), score=np.where(breaks, np.nan, chance)
    )
    broken = analyze(replace(results, trials=some_failed), estimator=Expansion(), resamples=5)
    [failed] = broken.failures
    assert (failed.cause, failed.refused) == ("failed", None)
    assert failed.tiers[0] == ("model.activation",)


def test_a_population_without_effects_has_no_ranking_but_its_clones() -> None:
    results = population_run(IDLE_WORLDS[0], members=12, epochs=16, seed=SEED)
    analysis = analyze(results, resamples=10)
    assert analysis.importance.refused is not None
    assert readings(analysis) == {"importance", "clones"}


def test_the_same_results_and_seed_give_the_same_answer() -> None:
    results = search(world("parallel", SEED), FIFO, 40, SEED)
    first, second = (analyze(results, resamples=3, seed=7).to_mapping() for _ in range(2))
    assert first == second
