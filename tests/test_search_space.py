"""The search space: conditions hold, mappings round-trip."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.base import Value
from raytune_pipe.distributions import (
    Choice,
    LogUniform,
    Uniform,
)
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

UNITS = st.floats(0, 1)


def conditional_space() -> SearchSpace:
    """A choice of optimizer, a momentum of one of its options, a learning rate of both."""
    kinds = Choice(options=({"kind": "sgd"}, {"kind": "adamw"}))
    return SearchSpace(
        (
            Hyperparameter("optimizer.kind", kinds),
            Hyperparameter("optimizer.lr", LogUniform(low=1e-4, high=1)),
            Hyperparameter(
                "optimizer.momentum",
                Uniform(low=0, high=0.99),
                (Condition("optimizer.kind", ("sgd",)),),
            ),
        )
    )


@given(st.fixed_dictionaries(dict.fromkeys(conditional_space().names, UNITS)))
def test_a_hyperparameter_has_a_value_only_where_it_applies(units: dict[str, float]) -> None:
    space = conditional_space()
    values = space.from_units(units)
    assert (values["optimizer.momentum"] is None) == (values["optimizer.kind"] == "adamw")
    assert space.contains(values)
    back = space.to_units(values)
    assert math.isnan(back["optimizer.momentum"]) == (values["optimizer.momentum"] is None)


def test_a_value_that_does_not_apply_is_outside() -> None:
    values: dict[str, Value] = {
        "optimizer.kind": "adamw",
        "optimizer.lr": 0.1,
        "optimizer.momentum": 0.5,
    }
    assert not conditional_space().contains(values)


def test_a_space_round_trips_through_json() -> None:
    space = conditional_space()
    assert SearchSpace.from_mappings(json.loads(json.dumps(space.to_mappings()))) == space


def test_mappings_tell_roles_and_may_lack_them() -> None:
    scientific = Hyperparameter("lr", Uniform(low=0, high=1, role="scientific"))
    (mapping,) = SearchSpace((scientific,)).to_mappings()
    assert mapping["distribution"]["role"] == "scientific"
    assert Hyperparameter.from_mapping(mapping).distribution.role == "scientific"
    del mapping["distribution"]["role"]  # as runs were recorded before there were roles
    assert Hyperparameter.from_mapping(mapping).distribution == Uniform(low=0, high=1)


def test_a_hyperparameter_is_found_by_name() -> None:
    assert conditional_space()["optimizer.lr"].distribution == LogUniform(low=1e-4, high=1)
    with pytest.raises(KeyError):
        conditional_space()["optimizer.beta1"]
