"""Which surrogate is chosen, and that what is held out was never seen."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from raytune_pipe.analysis import fitting
from raytune_pipe.analysis.curve_model import Curves
from raytune_pipe.analysis.fitting import CurveFitter, HeldOut, RowFitter, choose
from raytune_pipe.analysis.observations import Observations
from raytune_pipe.components.estimators import Boosting, Estimator, Expansion
from raytune_pipe.search_space import SearchSpace
from tests.analysis.simulated_search import SPACE, Array, drawn, observed, valley


def cliffs(units: Array) -> Array:
    """Up and down with the learning rate, and a cliff where dropout is high."""
    lr, _, _, dropout, _ = units.T
    result: Array = np.sign(np.sin(7 * np.pi * lr)) + 3.0 * (dropout > 0.62)
    return result


def rows_of(function: Callable[[Array], Array], trials: int) -> Observations:
    units = drawn(trials, seed=0)
    target = function(units) + 0.05 * np.random.default_rng(1).standard_normal(trials)
    return observed(SPACE, units, target, np.full(trials, "completed"))


class Memory:
    """Predicts what it was fitted to where it has seen the row, and 0 elsewhere."""

    kind = "memory"

    def __init__(self, seen: dict[bytes, float] | None = None) -> None:
        self.seen = seen or {}

    def fit(self, space: SearchSpace, units: Array, target: Array) -> "Memory":
        return Memory({row.tobytes(): value for row, value in zip(units, target, strict=True)})

    def predict(self, units: Array) -> Array:
        return np.array([self.seen.get(row.tobytes(), 0.0) for row in units])


def test_trees_are_chosen_on_cliffs_and_the_expansion_on_what_is_smooth() -> None:
    on_cliffs, seen_by_trees = choose(rows_of(cliffs, 120), np.random.default_rng(0))
    smooth, seen_by_expansion = choose(rows_of(valley, 60), np.random.default_rng(0))
    assert (on_cliffs.method, smooth.method) == ("boosting", "expansion")
    assert seen_by_trees.r_squared(np.ones(120)) > 0.6
    assert seen_by_expansion.r_squared(np.ones(60)) > 0.9


def test_few_rows_and_segments_are_never_left_to_trees() -> None:
    few = rows_of(cliffs, fitting.LEAST_ROWS_FOR_TREES - 1)
    many = rows_of(cliffs, 150)
    segments = Observations(
        SPACE,
        many.units,
        many.target,
        {**many.clusters, "generations": np.arange(150) % 5},
        many.objective,
        trial_ids=many.trial_ids,
        status=many.status,
    )
    for rows in (few, segments):
        assert choose(rows, np.random.default_rng(0))[0].method == "expansion"


def test_an_estimator_that_is_given_is_taken() -> None:
    fitter, _ = choose(rows_of(valley, 60), np.random.default_rng(0), Boosting(trees=5))
    assert isinstance(fitter, RowFitter)
    assert fitter.estimator == Boosting(trees=5)


def test_a_trial_is_held_out_with_all_its_rows() -> None:
    units = np.repeat(drawn(30, seed=0), 2, axis=0)  # each row has a twin, of the same trial
    rows = Observations(
        SPACE, units, np.arange(1.0, 61.0), {"trials": np.repeat(np.arange(30), 2)}, "val_loss"
    )
    memory = cast(Estimator, Memory())  # an estimator is all that `fit` is asked of
    held_out = RowFitter(rows, memory).held_out(np.random.default_rng(0))
    assert held_out.predicted.tolist() == [0.0] * 60
    assert held_out.target.tolist() == rows.target.tolist()
    # Were a twin a trial of its own, the memory would know it.
    apart = Observations(SPACE, units, rows.target, {"trials": np.arange(60)}, "val_loss")
    assert RowFitter(apart, memory).held_out(np.random.default_rng(0)).predicted.any()


class CurveMemory:
    """Knows which curves it was fitted to, and predicts no other than those it has not seen."""

    def __init__(self, curves: Curves) -> None:
        self.seen = {row.tobytes() for row in curves.units}

    def at(self, _rung: int = -1) -> "CurveMemory":
        return self

    def predict(self, units: Array) -> Array:
        return np.array([float(row.tobytes() in self.seen) for row in units])


def test_a_trial_s_whole_curve_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "fit_curves", lambda _space, curves: CurveMemory(curves))
    units = drawn(40, seed=0)
    scores = np.random.default_rng(2).random((40, 3))
    scores[10:, 2] = np.nan
    rows = observed(SPACE, units, scores[:, 1], np.full(40, "stopped_early"))
    fitter = CurveFitter(rows, Curves(units, np.array([1.0, 3.0, 9.0]), scores))
    held_out = fitter.held_out(np.random.default_rng(0))
    means = np.nanmean(scores, axis=0)
    reported = ~np.isnan(scores)
    assert held_out.predicted == pytest.approx(np.broadcast_to(-means, (40, 3))[reported])
    assert held_out.target == pytest.approx((scores - means)[reported])
    assert np.bincount(held_out.row).tolist() == [3] * 10 + [2] * 30
    assert CurveMemory(fitter.curves).predict(units).all()  # it would tell those it has seen


def held() -> HeldOut:
    """The first four of six scores are predicted, of the last two, in row 2, nothing is known."""
    row: NDArray[np.int64] = np.array([0, 0, 1, 1, 2, 2])
    return HeldOut(
        np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.5]), row
    )


@pytest.mark.parametrize(
    ("weights", "r2"),
    [([1, 1, 1], 1 - 0.5 / 1.5), ([1, 1, 0], 1.0), ([0, 0, 1], 0.0), ([0, 1, 3], 1 - 1.5 / 2)],
)
def test_a_score_has_the_weight_of_its_row(weights: list[float], r2: float) -> None:
    assert held().r_squared(np.array(weights)) == pytest.approx(r2)


def test_the_interval_of_r2_is_that_of_resamples_and_never_above_one() -> None:
    halves = [np.array(one) for one in ([1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0])]
    found = held().r2(halves)
    assert found.value == pytest.approx(1 - 0.5 / 1.5)
    assert found.low < 0.5
    assert found.high == 1.0


def test_refits_are_of_the_rows_that_weigh() -> None:
    rows = rows_of(valley, 60)
    weights = np.repeat([1.0, 0.0], 30)
    spoiled = Observations(
        SPACE, rows.units, np.where(weights > 0, rows.target, 99.0), rows.clusters, rows.objective
    )
    fits = RowFitter(spoiled, Expansion()).fits([weights])
    (refit,) = fits.refits
    assert np.abs(refit.predict(rows.units)).max() < 10
    assert np.abs(fits.surrogate.predict(rows.units)).max() > 50
