"""The problems of the benchmarks have the shares that they are said to have."""

from dataclasses import replace

import numpy as np
import pytest

from raytune_pipe.analysis.observations import units_of
from raytune_pipe.distributions import Choice, LogUniform, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

from benchmarks.importance.peers import PEERS, peer_importances, study_of
from benchmarks.importance.problem import Array, drawn
from benchmarks.importance.problems import PROBLEMS, Problem, finished_run, held_out
from benchmarks.importance.truth import linear_shares, true_shares

OF_NAME = {one.name: one for one in PROBLEMS}
EVERY = [*PROBLEMS, *map(held_out, range(3))]


@pytest.mark.parametrize("problem", EVERY, ids=lambda one: one.name)
def test_points_stand_for_values_of_the_space(problem: Problem) -> None:
    names, cube = problem.space.names, np.random.default_rng(0).random((200, len(problem.space)))
    values = [problem.space.from_units(dict(zip(names, row, strict=True))) for row in cube]
    units = [list(problem.space.to_units(one).values()) for one in values]
    np.testing.assert_allclose(drawn(problem.space, cube), units, rtol=0, atol=1e-12)


def test_shares_of_ishigami_are_the_known_ones() -> None:
    problem = OF_NAME["Ishigami (3)"]
    shares = true_shares(problem, finished_run(problem, 50, seed=0))
    np.testing.assert_allclose(shares.first, [0.3139, 0.4424, 0], atol=1e-3)
    np.testing.assert_allclose(shares.total, [0.5576, 0.4424, 0.2437], atol=1e-3)
    np.testing.assert_allclose(shares.pairs[0], [0, 0, 0.2437], atol=1e-3)


def test_shares_of_sobol_g_are_the_known_ones() -> None:
    problem = OF_NAME["Sobol g (8)"]
    shares = linear_shares(problem, finished_run(problem, 50, seed=0))
    parts = 1 / (3 * (1 + np.array([0, 1, 4.5, 9, 99, 99, 99, 99])) ** 2)
    variance = np.prod(1 + parts) - 1
    np.testing.assert_allclose(shares.first, parts / variance, atol=1e-3)
    total = parts / (1 + parts) * np.prod(1 + parts) / variance
    np.testing.assert_allclose(shares.total, total, atol=1e-3)


def test_the_interaction_has_most_of_the_variance() -> None:
    problem = OF_NAME["interaction"]
    shares = true_shares(problem, finished_run(problem, 50, seed=0))
    assert shares.pairs[0, 1] == pytest.approx(0.85, abs=2e-3)
    assert shares.first[1] == pytest.approx(0, abs=2e-3)


def test_a_heavy_tail_is_shared_out_on_the_scale_it_is_analyzed_on() -> None:
    space = SearchSpace(
        tuple(Hyperparameter(name, Uniform(low=0.0, high=1.0)) for name in ("one", "two"))
    )
    steep = Problem(
        "steep", space, lambda units: np.exp(8 * units[:, 0] + 4 * units[:, 1]), spans_decades=True
    )
    run = finished_run(steep, 200, seed=0)
    of_log = true_shares(steep, run)
    np.testing.assert_allclose(of_log.first, [0.8, 0.2], atol=1e-3)
    np.testing.assert_allclose(of_log.total, [0.8, 0.2], atol=1e-3)
    assert linear_shares(steep, run).pairs[0, 1] > 0.1


def test_presence_is_the_parents_and_the_rest_the_childs() -> None:
    """Under sgd (half of the trials) momentum adds its unit, variance 1/12; adam adds 1."""
    space = SearchSpace(
        (
            Hyperparameter("kind", Choice(options=("sgd", "adam"))),
            Hyperparameter("momentum", Uniform(low=0.0, high=1.0), (Condition("kind", ("sgd",)),)),
            Hyperparameter("lr", LogUniform(low=1e-3, high=1.0)),
        )
    )

    def score(units: Array) -> Array:
        momentum = np.nan_to_num(units[:, 1], nan=1.0)
        return np.asarray(momentum + (units[:, 0] < 0.5) * (units[:, 2] - 0.5))

    problem = Problem("conditional", space, score)
    shares = true_shares(problem, finished_run(problem, 50, seed=0))
    # Variances: kind 1/16, momentum 1/24, lr 1/48 alone and 1/48 with kind.
    variance = 1 / 16 + 1 / 24 + 2 / 48
    first = np.array([1 / 16, 1 / 24, 1 / 48]) / variance
    total = np.array([1 / 16 + 1 / 48, 1 / 24, 2 / 48]) / variance
    np.testing.assert_allclose(shares.first, first, atol=2e-3)
    np.testing.assert_allclose(shares.total, total, atol=2e-3)
    assert shares.pairs[0, 1] == 0
    assert shares.pairs[0, 2] == pytest.approx(1 / 48 / variance, abs=2e-3)


def test_what_diverges_counts_as_the_worst_of_the_run() -> None:
    problem = OF_NAME["cliff"]
    run = finished_run(problem, 300, seed=0)
    diverged = run.trials["status"] == "diverged"
    assert 0.1 < diverged.mean() < 0.4
    assert run.trials["score"].isna().tolist() == diverged.tolist()
    shares = true_shares(problem, run)
    assert shares.total[problem.space.names.index("optimizer.momentum")] > 0.2
    worse = run.trials.assign(score=run.trials["score"].where(run.trials.index > 0, 100.0))
    assert linear_shares(problem, replace(run, trials=worse)).variance > 1000


def test_noise_is_measured_in_the_functions_deviation() -> None:
    problem = OF_NAME["smooth valley"]
    run, quiet = finished_run(problem, 2000, 5, noise_sd=0.5), finished_run(problem, 2000, 5, 0.0)
    exact = problem.score(units_of(problem.space, quiet.trials))
    np.testing.assert_allclose(quiet.trials["score"].to_numpy(dtype=float), exact, atol=1e-9)
    noise = run.trials["score"].to_numpy(dtype=float) - exact
    assert noise.std() / exact.std() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_held_out_functions_have_strong_weak_and_idle_hyperparameters(seed: int) -> None:
    problem, again = held_out(seed), held_out(seed)
    units = drawn(problem.space, np.random.default_rng(1).random((50, len(problem.space))))
    np.testing.assert_array_equal(problem.score(units), again.score(units))
    assert not problem.development
    total = np.sort(linear_shares(problem, finished_run(problem, 30, seed=0)).total)
    assert 0.25 < total[-1] < 1
    assert (total < 1e-6).sum() == len(total) - (total > 1e-4).sum() > 0


def test_peers_are_given_what_a_user_gives_them() -> None:
    cliff = finished_run(OF_NAME["cliff"], 60, seed=0)
    states = [trial.state.name for trial in study_of(cliff).trials]
    diverged = (cliff.trials["status"] == "diverged").tolist()
    assert [state == "FAIL" for state in states] == diverged
    study = study_of(finished_run(OF_NAME["conditional"], 60, seed=0))
    found = {peer: peer_importances(study, peer) for peer in PEERS}
    assert all(sum(one.values()) == pytest.approx(1) for one in found.values())
    assert "optimizer.momentum" not in found["fANOVA"]
    assert "optimizer.momentum" in found["PED-ANOVA"]
