"""Curves and surfaces of functions that are known."""

import json

import numpy as np
import pytest

from raytune_pipe.analysis.effects import effects, is_near_best, surface
from raytune_pipe.analysis.grids import ValueRange
from tests.analysis.simulated_search import SPACE, drawn, nothing, same, search, valley

NAMES = SPACE.names


def test_a_curve_is_the_mean_over_all_others() -> None:
    effect = effects(search(valley, 200).fits, ["optimizer.lr"], same)[0]
    units = drawn(20_000, seed=9)
    truth = []
    for unit in np.linspace(0, 1, 17):
        units[:, 0] = unit
        truth.append(valley(units).mean())
    assert effect.expected.value[2:-2] == pytest.approx(np.array(truth)[2:-2], abs=0.05)
    held = (effect.expected.low <= truth) & (truth <= effect.expected.high)
    assert held.mean() > 0.8
    assert effect.values[::8] == pytest.approx((1e-4, 1e-2, 1.0))


def test_best_values_hold_the_best_and_leave_the_bad_ones_out() -> None:
    by_name = {one.name: one for one in effects(search(valley).fits, NAMES, same)}
    (best,) = by_name["optimizer.lr"].best
    assert isinstance(best.low, float)
    assert isinstance(best.high, float)
    assert 1e-3 < best.low <= 1e-2 <= best.high < 1e-1
    assert by_name["model.dropout"].best == ()
    assert by_name["model.activation"].best == ()


def test_noise_has_no_best_values() -> None:
    told = [
        bool(effect.best)
        for seed in range(5)
        for effect in effects(search(nothing, 60, seed, noise=1.0).fits, NAMES, same)
    ]
    assert np.mean(told) < 0.1


def test_on_a_metric_to_be_maximized_the_interval_turns_round() -> None:
    fits = search(valley).fits
    (lower,) = effects(fits, ["optimizer.lr"], same)
    (higher,) = effects(fits, ["optimizer.lr"], lambda targets: -targets)
    assert np.array_equal(higher.expected.low, -lower.expected.high)
    assert higher.best == lower.best


def test_a_surface_shows_the_valley_move() -> None:
    found = surface(search(valley).fits, ("optimizer.lr", "batch_size"), same)
    assert found.expected.value.shape == (9, 4)
    assert found.values[1] == (16, 32, 64, 128)
    bottoms = found.expected.value.argmin(axis=0)
    assert bottoms[0] < bottoms[-1]
    assert (found.expected.low <= found.expected.high).all()


def test_what_moves_a_whole_curve_does_not_blur_its_bottom() -> None:
    curve = np.array([1.0, 0.0, 1.0])
    rng = np.random.default_rng(0)
    moved = curve + 10 * rng.standard_normal((50, 1))
    assert is_near_best(curve, moved).tolist() == [False, True, False]
    apart = curve + 10 * rng.standard_normal((50, 3))
    assert is_near_best(curve, apart).all()
    assert is_near_best(curve, curve[None]).tolist() == [False, True, False]
    assert is_near_best(np.zeros(3), np.zeros((5, 3))).all()


def test_a_mapping_is_plain_json() -> None:
    (effect,) = effects(search(valley).fits, ["batch_size"], same)
    mapping = json.loads(json.dumps(effect.to_mapping(), allow_nan=False))
    assert mapping["values"] == [16, 32, 64, 128]
    assert len(mapping["expected"]["low"]) == 4


def test_ranges_are_values_of_the_hyperparameter() -> None:
    def larger_batches(units: np.ndarray) -> np.ndarray:
        return -units[:, 1]

    (effect,) = effects(search(larger_batches).fits, ["batch_size"], same)
    assert effect.best == (ValueRange(128, 128),)
