"""Resampled trials, parts of them, and the noise between equal ones."""

import numpy as np
import pytest

from raytune_pipe.analysis.resampling import folds, r_squared, resample_weights, seed_noise


def test_half_of_the_trials_with_all_their_rows() -> None:
    trials = np.repeat(np.arange(10), 3)
    weights = resample_weights({"trials": trials}, np.random.default_rng(0))
    assert weights.sum() == 15
    assert (weights.reshape(10, 3).std(axis=1) == 0).all()


def test_two_ways_of_clustering_multiply_their_counts() -> None:
    clusters = {"trials": np.repeat(np.arange(6), 5), "generations": np.tile(np.arange(5), 6)}
    weights = resample_weights(clusters, np.random.default_rng(1)).reshape(6, 5)
    assert np.linalg.matrix_rank(weights) == 1


def test_every_trial_is_held_out_once() -> None:
    trials = np.repeat(np.arange(25), 2)
    parts = list(folds(trials, np.random.default_rng(2)))
    assert len(parts) == 10
    assert (np.sum(parts, axis=0) == 1).all()
    assert all((part.reshape(25, 2).std(axis=1) == 0).all() for part in parts)


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    target, weights = np.array([1.0, 2.0, 6.0]), np.ones(3)
    assert r_squared(target, target, weights) == 1
    assert r_squared(target, np.full(3, 3.0), weights) == 0


def test_seed_noise_is_what_differs_between_equal_configurations() -> None:
    rng = np.random.default_rng(3)
    target = np.repeat(rng.standard_normal(200), 2) + 0.5 * rng.standard_normal(400)
    noise = seed_noise(np.repeat(np.arange(200.0), 2)[:, None], target)
    assert noise is not None
    assert noise.value == pytest.approx(0.2, abs=0.04)
    assert noise.low < 0.2 < noise.high
    assert seed_noise(rng.random((400, 2)), target) is None
    assert seed_noise(np.empty((0, 2)), np.empty(0)) is None
