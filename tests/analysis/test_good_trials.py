"""What matters among good configurations, where it is known."""

import json

import numpy as np
import pytest

from raytune_pipe.analysis.fitting import HeldOut
from raytune_pipe.analysis.good_trials import GoodTrials, good_trials
from tests.analysis.simulated_search import (
    SPACE,
    Array,
    Function,
    drawn,
    exactly,
    observed,
    search,
)


def gate(units: Array) -> Array:
    """The learning rate decides whether a trial is good; among good ones dropout matters."""
    result: Array = 8 * (units[:, 0] - 0.5) ** 2 + 0.5 * units[:, 3]
    return result


def basin(units: Array) -> Array:
    """All good configurations are equally good."""
    return np.maximum(8 * (units[:, 0] - 0.5) ** 2, 0.2)


def exact(function: Function) -> GoodTrials:
    """Of a surrogate that is the function itself, and held-out predictions without error."""
    units = drawn(200, 0)
    target = function(units)
    rows = observed(SPACE, units, target, np.full(200, "completed"))
    held_out = HeldOut(target, target, np.arange(200))
    return good_trials(exactly(function), rows, held_out)


def by_rejection(function: Function, axis: int) -> float:
    """The share of the variance that is left with all others known, by plain sampling."""
    rng = np.random.default_rng(1)
    units = drawn(20_000, 1)
    values = function(units)
    threshold = np.quantile(values, 0.25)
    inside = values <= threshold
    left = []
    for start in units[inside][:400]:
        moved = np.repeat(start[None], 300, axis=0)
        moved[:, axis] = rng.random(300)
        again = function(moved)
        left.append(again[again <= threshold].var())
    return float(np.mean(left) / values[inside].var())


def test_shares_are_those_of_the_region() -> None:
    found = exact(gate)
    assert list(found.shares)[:2] == ["model.dropout", "optimizer.lr"]
    for axis, name in ((0, "optimizer.lr"), (3, "model.dropout")):
        assert found.shares[name].value == pytest.approx(by_rejection(gate, axis), abs=0.06)
    assert [found.shares[name].value for name in list(found.shares)[2:]] == pytest.approx([0] * 3)


def test_what_matters_on_the_whole_need_not_matter_among_good_ones() -> None:
    searched = search(gate, 150, seed=0, noise=0.05, refits=12)
    assert searched.fits.surrogate.shares().total.argmax() == 0
    found = good_trials(*searched)
    assert found.refused is None
    assert next(iter(found.shares)) == "model.dropout"
    assert found.tiers[0] == ("model.dropout",)
    assert json.dumps(found.to_mapping(), allow_nan=False)


def test_equally_good_trials_are_not_ranked() -> None:
    refused = [
        good_trials(*search(basin, 100, seed, noise=0.2, refits=3)).refused for seed in range(6)
    ]
    assert sum(reason is not None for reason in refused) >= 5
    assert any("cannot be predicted" in reason for reason in refused if reason)


def test_few_good_trials_say_nothing() -> None:
    units = drawn(200, 0)
    worst = units[np.argsort(-gate(units))[:60]]
    rows = observed(SPACE, worst, gate(worst), np.full(60, "completed"))
    held_out = HeldOut(rows.target, rows.target, np.arange(60))
    found = good_trials(exactly(gate), rows, held_out)
    assert found.refused == "at least 10 trials must be good ones, but 0 are"
    assert found.shares == {}
