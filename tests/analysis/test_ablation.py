"""The way from the default to the best trial."""

import json
from typing import Any

import numpy as np
import pytest

from raytune_pipe.analysis.ablation import ablation
from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, IntUniform, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace
from tests.analysis.simulated_search import Array, exactly, nothing, same, search, valley

TRIAL: dict[str, Any] = {
    "optimizer": {"kind": "sgd", "lr": 1e-4, "momentum": 0.0},
    "model": {"dropout": 0.25, "activation": "relu"},
    "batch_size": 32,
}
BEST: dict[str, Value] = {
    "optimizer.lr": 1e-2,
    "batch_size": 32,
    "optimizer.momentum": 0.6,
    "model.dropout": 0.1,
    "model.activation": "gelu",
}


def test_the_largest_gain_comes_first_and_gains_add_up() -> None:
    def additive(units: Array) -> Array:
        return np.asarray(3 * (units[:, 0] - 0.5) ** 2 + (units[:, 2] - 0.6) ** 2, dtype=float)

    found = ablation(exactly(additive), TRIAL, BEST, lambda targets: -targets)
    assert found.refused is None
    assert found.gain is not None
    assert [step.name for step in found.steps[:2]] == ["optimizer.lr", "optimizer.momentum"]
    assert [step.gain.value for step in found.steps[:2]] == pytest.approx([0.75, 0.36])
    assert found.gain.value == pytest.approx(1.11)
    assert found.steps[0].share is not None
    assert found.steps[0].share.value == pytest.approx(0.75 / 1.11)
    assert found.start is not None
    assert found.start.value == pytest.approx(-1.11)
    assert found.steps[-1].expected.value == pytest.approx(0)
    assert {step.name for step in found.steps} == set(BEST) - {"batch_size"}


def test_a_fit_finds_the_way() -> None:
    found = ablation(search(valley).fits, TRIAL, BEST, same)
    first = found.steps[0]
    assert (first.name, first.before, first.after) == ("optimizer.lr", 1e-4, 1e-2)
    assert first.share is not None
    assert first.share.low > 0.5
    assert found.gain is not None
    # At batch size 32: 6 * 0.4625 ** 2 + 0.5 * 0.6 ** 2, less 6 * 0.0375 ** 2.
    assert found.gain.low < 1.455 < found.gain.high
    assert json.dumps(found.to_mapping(), allow_nan=False)


def test_without_any_effect_no_share_is_told() -> None:
    told = []
    for seed in range(6):
        found = ablation(search(nothing, 60, seed, noise=1.0).fits, TRIAL, BEST, same)
        told.append(any(step.share for step in found.steps))
    assert sum(told) <= 1


def test_the_same_configuration_needs_no_way() -> None:
    trial = {
        "optimizer": {"lr": 1e-2, "momentum": 0.6},
        "model": {"dropout": 0.1, "activation": "gelu"},
        "batch_size": 32,
    }
    found = ablation(exactly(valley), trial, BEST, same)
    assert found.refused == "the best trial has the default configuration"


def test_defaults_that_were_not_searched_are_said() -> None:
    trial = TRIAL | {
        "optimizer": {"lr": 10.0, "momentum": 0.5},
        "batch_size": 100,
        "model": {"activation": "silu"},
    }
    found = ablation(exactly(valley), trial, BEST, same)
    assert [note.split(";")[0] for note in found.notes] == [
        "optimizer.lr: the default 10.0 was not searched",
        "batch_size: the default 100 was not searched",
        "model.dropout: the default None was not searched",
        "model.activation: the default silu was not searched",
    ]
    before = {step.name: step.before for step in found.steps}
    assert before["optimizer.lr"] == 1.0
    assert before["batch_size"] == 128
    assert "model.activation" not in before


def test_children_come_and_go_with_their_parent() -> None:
    space = SearchSpace(
        (
            Hyperparameter("optimizer.kind", Choice(options=("sgd", "adamw"))),
            Hyperparameter(
                "optimizer.momentum",
                Uniform(low=0.0, high=1.0),
                (Condition("optimizer.kind", ("sgd",)),),
            ),
            Hyperparameter(
                "optimizer.beta1",
                Uniform(low=0.0, high=1.0),
                (Condition("optimizer.kind", ("adamw",)),),
            ),
            Hyperparameter("model.depth", IntUniform(low=1, high=9)),
        )
    )

    def function(units: Array) -> Array:
        return -np.nan_to_num(units[:, 2]) - 0.1 * units[:, 3]

    found = ablation(
        exactly(function, space),
        {"optimizer": {"kind": "sgd", "momentum": 0.9}, "model": {"depth": 2}},
        {"optimizer.kind": "adamw", "optimizer.beta1": 0.8, "model.depth": 7},
        same,
    )
    assert [step.name for step in found.steps] == ["optimizer.kind", "model.depth"]
    assert found.steps[0].gain.value == pytest.approx(0.8)
    assert found.notes == ()
