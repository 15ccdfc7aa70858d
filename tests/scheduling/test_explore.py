import random
from typing import Any

import pytest

from raytune_pipe.base import Value
from raytune_pipe.distributions import Choice, IntUniform, LogIntUniform, LogUniform, Prior, Uniform
from raytune_pipe.scheduling.decisions import Change
from raytune_pipe.scheduling.explore import Explored, changes, explore
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

COMPONENTS = Choice(options=({"kind": "sgd"}, {"kind": "adamw"}, {"kind": "lion"}))
SPACE = SearchSpace(
    (
        Hyperparameter("lr", LogUniform(low=1e-4, high=1.0)),
        Hyperparameter("dropout", Uniform(low=0.0, high=0.5)),
        Hyperparameter("patience", IntUniform(low=-2, high=3)),
        Hyperparameter("width", LogIntUniform(low=1, high=4096)),
        Hyperparameter("batch_size", Choice(options=(64, 16, 32))),
        Hyperparameter("nesterov", Choice(options=(True, False))),
        Hyperparameter("optimizer", COMPONENTS),
        Hyperparameter(
            "momentum", Uniform(low=0.8, high=0.99), (Condition("optimizer", ("sgd", "lion")),)
        ),
        Hyperparameter("groups", Choice(options=(1, 2)), (Condition("batch_size", (16, 32)),)),
        Hyperparameter("group_rate", LogUniform(low=0.1, high=10.0), (Condition("groups", (2,)),)),
    )
)


def new_values(explored: dict[str, Explored]) -> dict[str, Value]:
    return {name: new.value for name, new in explored.items()}


def explore_one(distribution: Any, value: Value, draw: float, **settings: float) -> Explored:
    space = SearchSpace((Hyperparameter("x", distribution),))
    settings = {"perturbation": 0.1, "resample_probability": 0.25} | settings
    return explore(space, {"x": value}, lambda _: draw, **settings)["x"]


def test_hundred_thousand_values_never_leave_the_space() -> None:
    rng = random.Random(0)
    for _ in range(200):
        perturbation, resample_probability = rng.uniform(0.001, 1), rng.choice([0.0, 0.1, 0.5, 1])
        values = SPACE.from_units({name: rng.random() for name in SPACE.names})
        for _ in range(50):
            values = new_values(
                explore(
                    SPACE,
                    values,
                    lambda _: rng.random(),
                    perturbation=perturbation,
                    resample_probability=resample_probability,
                )
            )
            assert SPACE.contains(values), values


@pytest.mark.parametrize(
    ("distribution", "value", "down", "up"),
    [
        (LogUniform(low=1e-4, high=1.0), 1e-2, 1e-2 * 10**-0.4, 1e-2 * 10**0.4),
        (LogUniform(low=1e-4, high=1.0), 1e-4, 1e-4, 1e-4 * 10**0.4),
        (Uniform(low=0.0, high=0.5), 0.48, 0.43, 0.5),
        (IntUniform(low=1, high=4), 2, 1, 3),
        (IntUniform(low=1, high=100), 50, 40, 60),
        (LogIntUniform(low=1, high=8), 1, 1, 2),
        (Choice(options=(64, 16, 32)), 32, 16, 64),
        (Choice(options=(64, 16, 32)), 64, 32, 64),
    ],
)
def test_a_move_is_a_step_on_the_declared_scale(
    distribution: Any, value: Value, down: float, up: float
) -> None:
    assert explore_one(distribution, value, 0.25).value == pytest.approx(down)
    assert explore_one(distribution, value, 0.62).value == pytest.approx(down)
    assert explore_one(distribution, value, 0.63).value == pytest.approx(up)
    assert explore_one(distribution, value, 0.99).value == pytest.approx(up)


def test_an_unordered_choice_stays_unless_resampled() -> None:
    for options in ((True, False), ("relu", "gelu", "silu"), COMPONENTS.options):
        choice = Choice(options=options)
        value = choice.labels[1]
        assert explore_one(choice, value, 0.3) == Explored(value, "copy")
        assert explore_one(choice, value, 0.0) == Explored(choice.labels[0], "resample")


def test_resampling_covers_the_whole_space() -> None:
    unit = Uniform(low=0.0, high=1.0)
    assert explore_one(unit, 0.5, 0.0) == Explored(0.0, "resample")
    assert explore_one(unit, 0.5, 0.125) == Explored(0.5, "resample")
    assert explore_one(unit, 0.5, 0.9, resample_probability=1.0) == Explored(0.9, "resample")
    assert explore_one(unit, 0.5, 0.0, resample_probability=0.0) == Explored(0.4, "perturb")


def test_resampling_follows_the_users_prior_and_a_move_the_declared_scale() -> None:
    prior = Prior(center=1.0, confidence="high")
    with_prior = Uniform(low=0.0, high=1.0, prior=prior)
    (value, operation) = explore_one(with_prior, 0.5, 0.125)
    assert operation == "resample"
    assert isinstance(value, float)
    assert 0.9 < value < 0.93  # the median of a half normal of deviation 1/8 at 1
    assert explore_one(with_prior, 0.5, 0.9) == explore_one(Uniform(low=0.0, high=1.0), 0.5, 0.9)


def test_all_parents_must_let_a_child_apply() -> None:
    space = SearchSpace(
        (
            Hyperparameter("optimizer", COMPONENTS),
            Hyperparameter("batch_size", Choice(options=(16, 32))),
            Hyperparameter(
                "momentum",
                Uniform(low=0.0, high=1.0),
                (Condition("optimizer", ("sgd",)), Condition("batch_size", (32,))),
            ),
        )
    )
    draws = {"optimizer": 0.9, "batch_size": 0.9, "momentum": 0.5}

    def result(values: dict[str, Value]) -> Explored:
        explored = explore(
            space, values, draws.__getitem__, perturbation=0.1, resample_probability=0.3
        )
        return explored["momentum"]

    values: dict[str, Value] = {"optimizer": "sgd", "batch_size": 16, "momentum": None}
    assert result(values) == Explored(0.5, "resample")  # the batch size moves up to 32
    draws["batch_size"] = 0.4
    assert result({**values, "batch_size": 32, "momentum": 0.5}) == Explored(None, "perturb")
    assert result({**values, "optimizer": "adamw"}) == Explored(None, "copy")


def test_children_follow_their_parent() -> None:
    space = SearchSpace(
        (
            Hyperparameter("optimizer", COMPONENTS),
            Hyperparameter(
                "momentum", Uniform(low=0.0, high=1.0), (Condition("optimizer", ("sgd",)),)
            ),
        )
    )
    draws = {"optimizer": 0.0, "momentum": 0.5}

    def result(values: dict[str, Value]) -> dict[str, Explored]:
        return explore(space, values, draws.__getitem__, perturbation=0.1, resample_probability=0.3)

    assert result({"optimizer": "adamw", "momentum": None}) == {
        "optimizer": Explored("sgd", "resample"),
        "momentum": Explored(0.5, "resample"),
    }
    draws["optimizer"] = 0.15
    assert result({"optimizer": "sgd", "momentum": 0.9}) == {
        "optimizer": Explored("adamw", "resample"),
        "momentum": Explored(None, "resample"),
    }
    draws["optimizer"] = 0.9
    assert result({"optimizer": "sgd", "momentum": 0.5}) == {
        "optimizer": Explored("sgd", "copy"),
        "momentum": Explored(0.4, "perturb"),
    }


def test_changes_tell_the_losers_own_values_apart_from_the_new_ones() -> None:
    explored = {
        "lr": Explored(0.1, "perturb"),
        "dropout": Explored(0.3, "copy"),
        "width": Explored(8, "resample"),
        "momentum": Explored(None, "copy"),
    }
    assert changes({"lr": 0.2, "dropout": 0.3, "width": 4, "momentum": 0.9}, explored) == (
        Change("lr", "perturb", 0.2, 0.1),
        Change("width", "resample", 4, 8),
        Change("momentum", "copy", 0.9, None),
    )
