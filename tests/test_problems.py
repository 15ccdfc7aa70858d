"""Problems: pydantic's locations become paths of the file, its messages our words."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from raytune_pipe.components.optimizers import Sgd
from raytune_pipe.components.schedules import Cosine, Piecewise
from raytune_pipe.distributions import LogUniform
from raytune_pipe.experiment import Experiment
from raytune_pipe.problems import (
    Problem,
    component_at,
    near,
    problems_of,
    shown,
    to_validation_error,
)
from raytune_pipe.trial import Trial

TRIAL: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "mlp"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd"},
    "schedule": {"kind": "warmup", "then": {"kind": "cosine"}},
}


def told(**fields: Any) -> dict[str, str]:
    plain = TRIAL | fields
    with pytest.raises(ValidationError) as caught:
        Trial.model_validate_json(json.dumps(plain))
    return {each.dotted: each.message for each in problems_of(caught.value, Trial, plain)}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"optimizer": {"kind": "sgd", "lr": 0}}, "optimizer.lr"),
        (
            {"schedule": {"kind": "warmup", "then": {"kind": "warmup", "then": {"kind": "x"}}}},
            "schedule.then.then.kind",
        ),
        ({"schedule": {"kind": "warmup", "warmup": 1}}, "schedule.warmup"),
        ({"schedule": {"kind": "piecewise", "rates": {"a": 1}}}, "schedule.rates.a"),
        ({"model": {"kind": "mlp", "widths": [1, -1]}}, "model.widths.1"),
        ({"model": {"kind": "imported", "target": "x"}}, "model.target"),
        ({"regularizers": {"l1": {"weight": -1}}}, "regularizers.l1.weight"),
        ({"stoppers": {"patience": {"epochs": 0}}}, "stoppers.patience.epochs"),
        ({"batch_size": None}, "batch_size"),
    ],
)
def test_a_location_loses_the_tags_of_unions(fields: dict[str, Any], path: str) -> None:
    assert list(told(**fields)) == [path]


def test_an_unknown_kind_in_the_search_space_lists_the_known_ones() -> None:
    plain = {"search_space": {"optimizer.lr": {"kind": "loguniform", "low": 1, "high": 2}}}
    with pytest.raises(ValidationError) as caught:
        Experiment.model_validate_json(json.dumps(plain))
    found = {each.dotted: each.message for each in problems_of(caught.value, Experiment, plain)}
    assert found["search_space.optimizer.lr.kind"] == (
        "must be one of uniform, log_uniform, logit_uniform, one_minus_log_uniform, int_uniform,"
        " log_int_uniform, choice, advised, but got 'loguniform'; did you mean 'log_uniform'?"
    )


def test_a_problem_survives_being_raised_in_a_validator() -> None:
    problem = Problem(("trials",), "must be 1, but got 2", (("searcher",),), is_at_key=True)
    error = to_validation_error("Experiment", [problem])
    assert problems_of(error, Experiment, {"trials": 2}) == [problem]


def test_the_class_at_a_path_is_found_by_its_kind() -> None:
    plain = {
        "trial": TRIAL,
        "search_space": {"optimizer.lr": {"kind": "log_uniform"}},
    }
    assert component_at(Experiment, plain, ("trial", "optimizer")) is Sgd
    assert component_at(Experiment, plain, ("trial", "schedule", "then")) is Cosine
    assert component_at(Experiment, plain, ("search_space", "optimizer.lr")) is LogUniform
    assert component_at(Experiment, plain, ("trial", "nothing", "there")) is None
    assert component_at(Piecewise, {}, ()) is Piecewise


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("momentun", "; did you mean 'momentum'?"),
        ("grace", "; did you mean 'grace_epochs'?"),
        ("xyz", ""),
        ("", ""),
    ],
)
def test_a_near_name_is_offered(word: str, expected: str) -> None:
    assert near(word, ["brackets", "grace_epochs", "momentum"]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("it", "'it'"),
        (True, "true"),
        (None, "null"),
        (float("inf"), ".inf"),
        ([1, {"a": 2}], '[1, {"a": 2}]'),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_a_value_is_shown_as_in_a_file_and_shortened(value: Any, expected: str) -> None:
    assert shown(value) == expected
