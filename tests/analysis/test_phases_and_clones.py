"""What changes over a population's run, and what clones tell apart."""

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis.clones import clone_effects
from raytune_pipe.analysis.phases import phases
from raytune_pipe.analysis.segments import segment_observations

from benchmarks.importance.populations import true_shares
from benchmarks.importance.simulated_populations import (
    IDLE_WORLDS,
    WORLDS,
    State,
    World,
    experiment,
    population_run,
)

Array = NDArray[np.float64]


def rising(_: State, units: Array) -> Array:
    """A higher learning rate is worse, a higher dropout better, all through."""
    return np.asarray(6.0 * units[:, 0] - 2.0 * units[:, 3])


def late(state: State, units: Array) -> Array:
    return np.asarray(units[:, 0] * state.progress)


RISING = World("rising", rising, noise=0.01)


def test_the_learning_rate_turns_from_better_high_to_better_low() -> None:
    rows = segment_observations(population_run(WORLDS[1], seed=3))
    found = phases(rows, np.random.default_rng(0), resamples=20)
    assert [one.name for one in found] == ["early", "middle", "late"]
    assert found[0].generations[1] + 1 == found[1].generations[0]
    assert sum(one.segments for one in found) == len(rows.target)
    first, _, last = found
    assert first.slope is not None
    assert last.slope is not None
    assert first.slope["optimizer.lr"].value < 0 < last.slope["optimizer.lr"].value
    assert first.total is not None
    assert next(iter(first.total)) == "optimizer.lr"


def test_phases_without_effects_are_refused() -> None:
    rows = segment_observations(population_run(IDLE_WORLDS[0], seed=1))
    found = phases(rows, np.random.default_rng(0), resamples=20)
    assert all(one.refused for one in found)
    assert found[0].to_mapping()["total"] is None


def test_clones_tell_the_sign_and_the_size_of_effects() -> None:
    """A tenth of the range of the rate adds 0.6 over 25 epochs, of the dropout takes 0.2."""
    truth = {"optimizer.lr": 0.024, "model.dropout": -0.008, "batch_size": 0.0}
    runs = [population_run(RISING, seed=seed) for seed in range(12)]
    found = [clone_effects(run, np.random.default_rng(0), 100) for run in runs]
    assert all(one.refused is None for one in found)
    for name, effect in truth.items():
        estimates = [one.effects[name] for one in found]
        assert np.mean([one.value for one in estimates]) == pytest.approx(effect, abs=0.002)
        assert np.mean([one.low <= effect <= one.high for one in estimates]) > 0.5


def test_too_few_clones_say_nothing() -> None:
    run = population_run(RISING, members=4, epochs=3)
    effects = clone_effects(run, np.random.default_rng(0), 10)
    assert effects.refused is not None
    assert effects.refused.startswith("at least 8 pairs with small differences are needed")
    assert effects.to_mapping()["effects"] == {}


def test_shares_of_the_simulated_effects_are_those_of_a_known_function() -> None:
    space = experiment(4, 5, 0).space()
    assert true_shares(RISING, space).first == pytest.approx([0.9, 0.0, 0.0, 0.1], abs=0.02)
    shares = true_shares(World("late", late, noise=0.0), space)
    assert shares.total == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=0.02)
    assert shares.first[0] == pytest.approx(0.75, abs=0.03)
