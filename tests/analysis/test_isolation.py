"""What each value of a scientific hyperparameter can reach."""

import dataclasses
import json

import numpy as np
import pytest

from raytune_pipe.analysis.grids import ValueRange, masked, spread_units
from raytune_pipe.analysis.isolation import isolations
from raytune_pipe.distributions import Choice, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace
from tests.analysis.simulated_search import (
    SPACE,
    Array,
    drawn,
    exactly,
    observed,
    same,
    search,
    valley,
)


def crossing(units: Array) -> Array:
    """On the average gelu is the worst, but with the best learning rate it is the best."""
    gelu = units[:, 4] > 0.7
    rate = (units[:, 0] - 0.5) ** 2
    return np.where(gelu, 12 * rate - 0.5, 3 * rate)


def test_the_best_over_the_others_counts_not_the_mean() -> None:
    fits, rows, _ = search(crossing, 150)
    mean = fits.surrogate.expected((4,), np.array([[1 / 6], [1 / 2], [5 / 6]]))
    assert mean.argmax() == 2
    (one,) = isolations(fits, rows, same)
    assert one.name == "model.activation"
    assert one.values == ("relu", "tanh", "gelu")
    assert one.best == (ValueRange("gelu", "gelu"),)
    truth = np.array([0.0, 0.0, -0.5])
    assert ((one.reached.low <= truth + 0.02) & (truth <= one.reached.high)).all()
    assert json.dumps(one.to_mapping(), allow_nan=False)


def test_options_that_reach_the_same_are_not_told_apart() -> None:
    told = [
        bool(isolations(*search(valley, 80, seed, noise=0.5)[:2], same)[0].best)
        for seed in range(6)
    ]
    assert sum(told) <= 1


def test_the_figure_is_not_the_optimist_s() -> None:
    """The least of many noisy predictions is too low; one refit chooses, another says."""
    errors, plain = [], []
    candidates = spread_units(SPACE, 256)
    for seed in range(4):
        fits, rows, _ = search(valley, 60, seed, noise=0.5)
        (one,) = isolations(fits, rows, same)
        for place, unit in enumerate((1 / 6, 1 / 2, 5 / 6)):
            candidates[:, 4] = unit
            truth = valley(candidates).min()
            errors.append(one.reached.value[place] - truth)
            plain.append(fits.surrogate.predict(candidates).min() - truth)
    assert np.mean(plain) < -0.1
    assert abs(np.mean(errors)) < 0.6 * abs(np.mean(plain))


def test_the_best_trial_at_each_value_stands_beside() -> None:
    units = drawn(60, 0)
    status = np.where(units[:, 4] < 0.3, "diverged", "completed")
    rows = observed(SPACE, units, valley(units), status)
    (one,) = isolations(exactly(valley), rows, lambda targets: 2 * targets)
    nothing_left, tanh, gelu = one.measured
    assert nothing_left is None
    assert tanh is not None
    assert gelu is not None
    here = np.flatnonzero(units[:, 4] == 0.5)
    best = here[rows.target[here].argmin()]
    assert (tanh.trial_id, tanh.trials) == (f"{best:05d}", len(here))
    assert tanh.metric == pytest.approx(2 * rows.target[best])
    assert tanh.trials + gelu.trials < 60


def test_without_a_scientific_one_there_is_nothing_to_isolate() -> None:
    plain = SearchSpace(SPACE.hyperparameters[:4])
    units = drawn(30, 0, plain)
    rows = observed(plain, units, units[:, 0], np.full(30, "completed"))
    assert isolations(exactly(lambda units: units[:, 0], plain), rows, same) == ()


def test_a_conditional_one_is_tuned_where_it_applies() -> None:
    space = SearchSpace(
        (
            Hyperparameter("optimizer.kind", Choice(options=("sgd", "adamw"))),
            Hyperparameter(
                "optimizer.momentum",
                Uniform(low=0.0, high=1.0, role="scientific"),
                (Condition("optimizer.kind", ("sgd",)),),
            ),
        )
    )

    def adamw_is_better(units: Array) -> Array:
        return np.where(np.isnan(units[:, 1]), -5.0, units[:, 1])

    units = masked(space, np.random.default_rng(0).random((40, 2)))
    rows = observed(space, units, adamw_is_better(units), np.full(40, "completed"))
    (one,) = isolations(exactly(adamw_is_better, space), rows, same)
    assert one.reached.value == pytest.approx(np.linspace(0, 1, 9))
    counted = sum(each.trials for each in one.measured if each)
    assert counted == int(np.isfinite(units[:, 1]).sum())
    assert dataclasses.astuple(one)[0] == "optimizer.momentum"
