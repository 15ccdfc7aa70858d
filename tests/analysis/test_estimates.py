"""Intervals from resamples."""

import numpy as np
import pytest

from raytune_pipe.analysis.estimates import Estimate, Estimates, estimates_of


def test_an_interval_is_the_wider_of_quantiles_and_spread() -> None:
    rng = np.random.default_rng(0)
    resampled = rng.normal(size=(20_000, 2)) + np.array([0.0, 3.0])
    estimates = estimates_of(np.array([0.0, 0.0]), resampled)
    assert estimates.low == pytest.approx([-1.645, -1.645], abs=0.05)
    assert estimates.high == pytest.approx([1.645, 3 + 1.645], abs=0.05)


def test_estimates_are_clipped_and_read_one_by_one() -> None:
    estimates = estimates_of(np.array([0.5]), np.array([[0.0], [1.0]])).clipped(0.2, 0.8)
    assert estimates.each() == [Estimate(0.5, 0.2, 0.8)]


def test_a_falling_function_turns_the_ends_round() -> None:
    estimates = Estimates(np.array([2.0]), np.array([1.0]), np.array([4.0]))
    assert estimates.mapped(lambda part: -part).each() == [Estimate(-2.0, -4.0, -1.0)]
    assert estimates.mapped(np.sqrt).each()[0].high == 2.0
