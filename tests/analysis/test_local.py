"""What matters around one configuration."""

import json

import numpy as np
import pytest

from raytune_pipe.analysis.local import local_importance
from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, Uniform
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace
from tests.analysis.simulated_search import SPACE, Array, exactly, nothing, search, valley

AT: dict[str, Value] = {
    "optimizer.lr": 1e-2,
    "batch_size": 32,
    "optimizer.momentum": 0.5,
    "model.dropout": 0.1,
    "model.activation": "relu",
}


def test_fractions_are_those_of_the_variances_at_the_configuration() -> None:
    def product(units: Array) -> Array:
        return 2 * units[:, 0] * units[:, 2] + units[:, 3]

    found = local_importance(exactly(product), AT)
    # Slopes there: 2 * 0.5 of both in the product, 1 of dropout.
    assert found.fractions["optimizer.lr"].value == pytest.approx(1 / 3)
    assert found.fractions["optimizer.momentum"].value == pytest.approx(1 / 3)
    assert found.fractions["model.dropout"].value == pytest.approx(1 / 3)
    assert found.fractions["batch_size"].value == 0
    moved = local_importance(exactly(product), AT | {"optimizer.lr": 1.0})
    assert moved.fractions["optimizer.momentum"].value == pytest.approx(2**2 / (2**2 + 1 + 1))


def test_a_fit_finds_what_matters_there() -> None:
    found = local_importance(search(valley).fits, AT)
    assert found.tiers[0] == ("optimizer.lr",)
    assert sum(one.value for one in found.fractions.values()) == pytest.approx(1)
    truth = local_importance(exactly(valley), AT).fractions
    for name, one in found.fractions.items():
        assert one.value == pytest.approx(truth[name].value, abs=0.05)
    assert json.dumps(found.to_mapping(), allow_nan=False)


def test_noise_has_no_order() -> None:
    tiers = [
        local_importance(search(nothing, 60, seed, noise=1.0).fits, AT).tiers for seed in range(4)
    ]
    assert all(len(one) <= 1 for one in tiers)


def test_what_does_not_apply_has_no_fraction_and_parents_take_children_along() -> None:
    space = SearchSpace(
        (
            Hyperparameter("optimizer.kind", Choice(options=("sgd", "adamw"))),
            Hyperparameter(
                "optimizer.momentum",
                Uniform(low=0.0, high=1.0),
                (Condition("optimizer.kind", ("sgd",)),),
            ),
            Hyperparameter("model.dropout", Uniform(low=0.0, high=1.0)),
        )
    )
    seen = []

    def function(units: Array) -> Array:
        seen.append(units)
        return np.nan_to_num(units[:, 1]) + units[:, 2]

    found = local_importance(
        exactly(function, space), {"optimizer.kind": "adamw", "model.dropout": 0.5}
    )
    assert set(found.fractions) == {"optimizer.kind", "model.dropout"}
    with_sgd = local_importance(
        exactly(function, space),
        {"optimizer.kind": "sgd", "optimizer.momentum": 1.0, "model.dropout": 0.5},
    )
    assert set(with_sgd.fractions) == set(space.names)
    points = np.vstack(seen)
    assert np.isnan(points[points[:, 0] > 0.5, 1]).all()


def test_a_flat_surrogate_is_refused() -> None:
    found = local_importance(exactly(nothing), AT)
    assert found.refused == "nothing is seen to matter there"
    assert found.fractions == {}
    assert list(found.values) == list(SPACE.names)
