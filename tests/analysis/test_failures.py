"""What breaks trials, where it is known what does."""

import json
from functools import cache

import numpy as np
import pytest

from raytune_pipe.analysis.failures import FailureImportance, failure_importance
from raytune_pipe.components.estimators import Expansion
from tests.analysis.simulated_search import SPACE, drawn, observed

Statuses = np.ndarray


def broken(status: Statuses, seed: int = 0) -> tuple[FailureImportance, ...]:
    units = drawn(len(status), seed)
    rows = observed(SPACE, units, np.zeros(len(status)), status)
    return failure_importance(rows, Expansion(), np.random.default_rng(0), resamples=15)


@cache
def at_high_rates() -> FailureImportance:
    """Those with a learning rate above 0.1 diverge."""
    status = np.where(drawn(80, 0)[:, 0] > 0.75, "diverged", "completed")
    (one,) = broken(status)
    return one


def test_the_learning_rate_is_named_with_the_region() -> None:
    one = at_high_rates()
    assert (one.cause, one.refused) == ("diverged", None)
    assert (one.broken, one.trials) == (21, 80)
    assert one.total is not None
    assert one.tiers[0] == ("optimizer.lr",)
    assert one.total["optimizer.lr"].value > 0.8
    assert one.curve is not None
    (region,) = one.curve.mostly_break
    assert isinstance(region.low, float)
    assert 0.04 < region.low < 0.25
    assert region.high == 1.0
    assert one.curve.surely_break


def test_every_figure_has_an_interval_in_json() -> None:
    mapping = json.loads(json.dumps(at_high_rates().to_mapping(), allow_nan=False))
    assert mapping["r2"].keys() == {"value", "low", "high"}
    assert mapping["total"]["optimizer.lr"].keys() == {"value", "low", "high"}
    assert len(mapping["curve"]["probability"]["low"]) == 17


def test_breaking_by_chance_is_not_explained() -> None:
    found: list[FailureImportance] = []
    for seed in range(8):
        by_chance = np.random.default_rng(seed).random(60) < 0.25
        found += broken(np.where(by_chance, "failed", "completed"), seed)
    refused = [one.refused for one in found]
    assert sum(reason is not None for reason in refused) >= 7
    assert "the hyperparameters do not predict it: it may be chance" in refused


def test_causes_are_told_apart() -> None:
    units = drawn(120, 0)
    status = np.where(units[:, 0] > 0.8, "diverged", "completed")
    status = np.where(units[:, 1] > 0.8, "out_of_memory", status)
    together, diverged, memory = broken(status)
    assert together.cause == "diverged or out_of_memory"
    assert together.broken == diverged.broken + memory.broken
    assert diverged.tiers[0] == ("optimizer.lr",)
    assert memory.tiers[0] == ("batch_size",)
    assert memory.curve is not None
    assert [(one.low, one.high) for one in memory.curve.mostly_break] == [(128, 128)]


@pytest.mark.parametrize(
    ("count", "reason"),
    [(4, "at least 5 broken trials are needed, but got 4"), (57, "5 other trials")],
)
def test_too_few_of_either_kind_are_refused(count: int, reason: str) -> None:
    (one,) = broken(np.where(np.arange(60) < count, "diverged", "completed"))
    assert reason in str(one.refused)
    assert one.total is None


def test_nothing_is_said_where_nothing_broke() -> None:
    assert broken(np.full(60, "completed")) == ()
