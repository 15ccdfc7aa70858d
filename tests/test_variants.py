"""Variants: paths into a trial's plain values, and the trial under each option above them."""

import json
from typing import Any

import pytest

from raytune_pipe.distributions import DISTRIBUTION, Distribution
from raytune_pipe.trial import Trial
from raytune_pipe.variants import choice_above, get, has, put, to_plain, to_trial, variants

TRIAL = Trial.model_validate_json(
    json.dumps(
        {
            "dataset": {"kind": "digits"},
            "model": {"kind": "mlp"},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "sgd", "momentum": 0.8},
        }
    )
)


def space(**entries: Any) -> dict[str, Distribution]:
    return {
        path: DISTRIBUTION.validate_json(json.dumps({"kind": "choice", "options": options}))
        for path, options in entries.items()
    }


def test_plain_values_make_the_same_trial() -> None:
    assert to_trial(to_plain(TRIAL)) == TRIAL


def test_a_value_is_put_into_a_copy() -> None:
    plain = to_plain(TRIAL)
    changed = put(plain, "optimizer.momentum", 0.5)
    assert (get(plain, "optimizer.momentum"), get(changed, "optimizer.momentum")) == (0.8, 0.5)
    assert changed["model"] is plain["model"]


def test_a_path_leads_to_a_value_or_nowhere() -> None:
    plain = to_plain(TRIAL)
    assert has(plain, "optimizer")
    assert has(plain, "optimizer.momentum")
    assert has(plain, "regularizers.l1")
    assert not has(plain, "regularizers.l1.weight")
    assert not has(plain, "optimizer.momentum.x")
    assert get(plain, "optimizer.momentum.x") is None
    with pytest.raises(KeyError):
        put(plain, "nothing.there", 1)


def test_the_nearest_choice_of_components_stands_above_a_path() -> None:
    searched = space(
        schedule=[{"kind": "warmup"}, {"kind": "cosine"}],
        **{"schedule.then": [{"kind": "plateau"}, {"kind": "cosine"}], "optimizer": ["a", "b"]},
    )
    assert choice_above("schedule.then.factor", searched) == "schedule.then"
    assert choice_above("schedule.then", searched) == "schedule"
    assert choice_above("schedule", searched) is None
    assert choice_above("optimizer.lr", searched) is None


def test_each_option_gives_a_variant_with_its_defaults() -> None:
    searched = space(optimizer=[{"kind": "sgd"}, {"kind": "adamw", "lr": 0.5}])
    found = {each.label: each.plain for each in variants(to_plain(TRIAL), searched, "optimizer.lr")}
    assert list(found) == ["sgd", "adamw"]
    assert get(found["sgd"], "optimizer.momentum") == 0.9
    assert get(found["adamw"], "optimizer.lr") == 0.5
    assert not has(found["adamw"], "optimizer.momentum")


def test_an_option_that_is_not_valid_gives_no_variant() -> None:
    searched = space(optimizer=[{"kind": "sgd"}, {"kind": "adamw", "lr": -1}])
    found = variants(to_plain(TRIAL), searched, "optimizer.lr")
    assert [each.label for each in found] == ["sgd"]


def test_without_a_choice_above_the_trial_is_the_only_variant() -> None:
    plain = to_plain(TRIAL)
    assert list(variants(plain, {}, "optimizer.lr")) == [(None, plain)]
