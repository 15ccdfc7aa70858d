"""Distributions: values stay inside, units invert, mappings round-trip."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raytune_pipe.base import Value, members
from raytune_pipe.distributions import (
    DISTRIBUTION,
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogUniform,
    Uniform,
)

FLOATS = st.floats(-1e300, 1e300)
UNITS = st.floats(0, 1)


def ranges(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    pairs = st.tuples(numbers, numbers).map(lambda pair: tuple(sorted(pair)))
    return pairs.filter(lambda pair: pair[0] < pair[1])


UNIFORMS = ranges(FLOATS).map(lambda pair: Uniform(low=pair[0], high=pair[1]))
LOG_UNIFORMS = ranges(st.floats(5e-324, 1.7e308)).map(
    lambda pair: LogUniform(low=pair[0], high=pair[1])
)
INTS = ranges(st.integers(-(2**40), 2**40)).map(lambda pair: IntUniform(low=pair[0], high=pair[1]))
LOG_INTS = ranges(st.integers(1, 2**40)).map(lambda pair: LogIntUniform(low=pair[0], high=pair[1]))
SCALARS = st.one_of(
    st.lists(st.integers() | FLOATS, min_size=2, max_size=5, unique=True),
    st.lists(st.text(), min_size=2, max_size=5, unique=True),
    st.just([True, False]),
)
CHOICES = SCALARS.map(lambda options: Choice(options=tuple(options)))
DISTRIBUTIONS: st.SearchStrategy[Distribution] = st.one_of(
    UNIFORMS, LOG_UNIFORMS, INTS, LOG_INTS, CHOICES
)


@given(DISTRIBUTIONS, UNITS)
def test_a_unit_maps_into_the_space(distribution: Distribution, unit: float) -> None:
    assert distribution.contains(distribution.from_unit(unit))


@given(INTS | LOG_INTS | CHOICES, UNITS)
def test_discrete_values_survive_the_round_trip(
    distribution: IntUniform | LogIntUniform | Choice, unit: float
) -> None:
    value = distribution.from_unit(unit)
    assert distribution.from_unit(distribution.to_unit(value)) == value


@given(UNIFORMS | LOG_UNIFORMS, UNITS)
def test_real_values_survive_the_round_trip(
    distribution: Uniform | LogUniform, unit: float
) -> None:
    value = distribution.from_unit(unit)
    there_and_back = distribution.from_unit(distribution.to_unit(value))
    size = max(abs(distribution.low), abs(distribution.high))
    assert there_and_back == pytest.approx(value, rel=1e-12, abs=1e-12 * size)


@given(DISTRIBUTIONS)
def test_the_ends_of_the_unit_interval_are_the_bounds(distribution: Distribution) -> None:
    ends = distribution.from_unit(0.0), distribution.from_unit(1.0)
    if isinstance(distribution, Choice):
        assert ends == (distribution.labels[0], distribution.labels[-1])
    else:
        assert ends == (distribution.low, distribution.high)


@given(UNIFORMS | LOG_UNIFORMS | INTS | LOG_INTS, UNITS, UNITS)
def test_larger_units_never_give_smaller_values(
    distribution: Uniform | LogUniform | IntUniform | LogIntUniform, one: float, two: float
) -> None:
    low, high = distribution.from_unit(min(one, two)), distribution.from_unit(max(one, two))
    assert low <= high or low == pytest.approx(high, rel=1e-12)


@given(DISTRIBUTIONS, UNITS, st.floats(-2, 2))
def test_a_step_never_leaves_the_space(
    distribution: Distribution, unit: float, size: float
) -> None:
    assert distribution.contains(distribution.step(distribution.from_unit(unit), size))


@given(INTS | LOG_INTS, UNITS, st.sampled_from([-1e-18, 1e-18]))
def test_the_smallest_step_moves_an_integer_by_one(
    distribution: IntUniform | LogIntUniform, unit: float, size: float
) -> None:
    value = distribution.from_unit(unit)
    expected = value + (1 if size > 0 else -1)
    moved = distribution.step(value, size)
    assert moved == max(distribution.low, min(distribution.high, expected))


def test_a_step_is_a_ratio_on_a_log_scale() -> None:
    space = LogUniform(low=1e-4, high=1.0)
    assert space.step(1e-3, 0.25) == pytest.approx(1e-2)
    assert space.step(1e-3, -1) == 1e-4


def test_ordered_options_step_to_their_neighbour_and_others_stay() -> None:
    batch_size = Choice(options=(64, 16, 128, 32))
    assert [batch_size.step(size, 0.1) for size in (16, 32, 64, 128)] == [32, 64, 128, 128]
    assert [batch_size.step(size, -0.1) for size in (16, 32, 64, 128)] == [16, 16, 32, 64]
    assert Choice(options=("relu", "gelu")).step("relu", 0.5) == "relu"


def test_integers_on_a_log_scale_own_parts_as_wide_as_on_that_scale() -> None:
    space = LogIntUniform(low=1, high=100)
    draws = [space.from_unit(step / 100_000) for step in range(100_000)]
    whole = math.log(100.5 / 0.5)
    for value in (1, 2, 10, 100):
        share = math.log((value + 0.5) / (value - 0.5)) / whole
        assert draws.count(value) / len(draws) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("member", members(Distribution), ids=lambda member: member.__name__)
def test_a_role_is_kept_and_is_null_by_default(member: type[Distribution]) -> None:
    bounds = {"options": [1, 2]} if member is Choice else {"low": 1, "high": 2}
    plain = DISTRIBUTION.validate_json(json.dumps(bounds | {"kind": _kind(member)}))
    assert plain.role is None
    assert member.model_fields["role"].description
    nuisance = DISTRIBUTION.validate_json(json.dumps(plain.model_dump() | {"role": "nuisance"}))
    assert nuisance.role == "nuisance"
    assert nuisance.model_dump(mode="json")["role"] == "nuisance"
    assert [nuisance.from_unit(unit) for unit in (0, 0.4, 1)] == [
        plain.from_unit(unit) for unit in (0, 0.4, 1)
    ]


def _kind(member: type[Distribution]) -> str:
    kind: str = member.model_fields["kind"].default
    return kind


@given(DISTRIBUTIONS)
def test_json_round_trip(distribution: Distribution) -> None:
    text = json.dumps(distribution.model_dump(mode="json"))
    assert DISTRIBUTION.validate_json(text) == distribution


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "uniform", "low": 2, "high": 1}, "low must be below high"),
        ({"kind": "uniform", "low": 1, "high": 1}, "low must be below high"),
        ({"kind": "uniform", "low": -1.7e308, "high": 1.7e308}, "high - low must be finite"),
        ({"kind": "log_uniform", "low": 0, "high": 1}, "must be above 0 on a log scale"),
        ({"kind": "log_int_uniform", "low": 0, "high": 9}, "must be above 0 on a log scale"),
        ({"kind": "int_uniform", "low": 0, "high": 2**60}, "less than or equal to"),
        ({"kind": "int_uniform", "low": 0.5, "high": 3}, "valid integer"),
        ({"kind": "uniform", "low": 0, "high": 1, "role": "fixed"}, "'scientific' or 'nuisance'"),
        ({"kind": "choice", "options": [1]}, "at least 2 items"),
        ({"kind": "choice", "options": [1, 1.0]}, "distinct values"),
        ({"kind": "choice", "options": [1, math.nan]}, "finite number"),
        ({"kind": "choice", "options": [1, None]}, "a scalar, a list or a component"),
        (
            {"kind": "choice", "options": [1, {"kind": "sgd"}]},
            "all scalars, all lists or all components",
        ),
        ({"kind": "choice", "options": [{"lr": 1}, {"kind": "sgd"}]}, "must name its kind"),
        ({"kind": "choice", "options": [{"kind": "a"}, {"kind": "a"}]}, "distinct kinds"),
    ],
)
def test_a_wrong_distribution_is_refused(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DISTRIBUTION.validate_json(json.dumps(mapping))


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (Uniform(low=0, high=1), [0, 1, 0.5], [-0.1, 1.1, True, "0.5", None, math.nan]),
        (IntUniform(low=0, high=3), [0, 3, 2.0], [4, 2.5, True, "2", None]),
        (Choice(options=(16, 32)), [16, 32.0], [17, "16", None, True]),
        (Choice(options=(True, False)), [True, False], [1, 0, None]),
        (Choice(options=({"kind": "sgd"}, {"kind": "adamw"})), ["sgd"], ["mlp", {"kind": "sgd"}]),
    ],
)
def test_contains(distribution: Distribution, inside: list[Value], outside: list[Any]) -> None:
    assert all(distribution.contains(value) for value in inside)
    assert not any(distribution.contains(value) for value in outside)


def test_a_component_choice_is_named_by_kinds() -> None:
    sgd, adamw = {"kind": "sgd", "momentum": 0.9}, {"kind": "adamw"}
    choice = Choice(options=(sgd, adamw))
    assert choice.of_components
    assert choice.labels == ("sgd", "adamw")
    assert choice.option("sgd") == sgd
    assert not choice.ordered
