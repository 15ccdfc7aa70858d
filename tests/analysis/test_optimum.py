"""Where the best learning rate lies at each batch size."""

import json

import numpy as np
import pytest

from raytune_pipe.analysis.optimum import moving_optimum
from tests.analysis.simulated_search import nothing, search, still_valley, valley

PAIR = ("optimizer.lr", "batch_size")


def test_a_best_rate_that_rises_is_found_at_each_batch_size() -> None:
    optimum = moving_optimum(search(valley, 150).fits, *PAIR)
    assert optimum.rises > 0.95
    assert optimum.at == (16, 32, 64, 128)
    for unit, best in zip((0.125, 0.375, 0.625, 0.875), optimum.best, strict=True):
        truth = 1e-4 ** (1 - (0.5 + 0.3 * (unit - 0.5)))
        assert best is not None
        assert isinstance(best.low, float)
        assert isinstance(best.high, float)
        assert best.low <= truth * 1.1
        assert truth <= best.high * 1.1
    assert optimum.shift is not None
    assert optimum.shift.low < 0.3 * 0.75 < optimum.shift.high
    assert json.dumps(optimum.to_mapping(), allow_nan=False)


def test_a_best_rate_that_stays_is_not_said_to_move() -> None:
    chances = [
        moving_optimum(search(still_valley, 80, seed, noise=0.5).fits, *PAIR).rises
        for seed in range(8)
    ]
    assert np.mean([0.05 < chance < 0.95 for chance in chances]) > 0.7


def test_noise_has_no_best_rate() -> None:
    found = [
        best
        for seed in range(4)
        for best in moving_optimum(search(nothing, 60, seed, noise=1.0).fits, *PAIR).best
    ]
    assert sum(one is not None for one in found) <= 2


def test_options_without_order_cannot_move() -> None:
    with pytest.raises(ValueError, match="must both have an order"):
        moving_optimum(search(valley).fits, "optimizer.lr", "model.activation")
