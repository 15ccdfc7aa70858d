"""Distributions: values stay inside, units invert, mappings round-trip."""

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import truncnorm

from raytune_pipe.base import Value, members
from raytune_pipe.distributions import (
    DISTRIBUTION,
    Choice,
    Distribution,
    IntUniform,
    LogIntUniform,
    LogitUniform,
    LogUniform,
    OneMinusLogUniform,
    Prior,
    Uniform,
    count_of,
    drawn,
    values_of,
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
LOGITS = ranges(st.floats(1e-300, 1 - 1e-15)).map(
    lambda pair: LogitUniform(low=pair[0], high=pair[1])
)
ONE_MINUS_LOGS = ranges(st.floats(0, 1 - 1e-15)).map(
    lambda pair: OneMinusLogUniform(low=pair[0], high=pair[1])
)
INTS = ranges(st.integers(-(2**40), 2**40)).map(lambda pair: IntUniform(low=pair[0], high=pair[1]))
LOG_INTS = ranges(st.integers(1, 2**40)).map(lambda pair: LogIntUniform(low=pair[0], high=pair[1]))
SCALARS = st.one_of(
    st.lists(st.integers() | FLOATS, min_size=2, max_size=5, unique=True),
    st.lists(st.text(), min_size=2, max_size=5, unique=True),
    st.just([True, False]),
)
CHOICES = SCALARS.map(lambda options: Choice(options=tuple(options)))


def quantized(low: float, quantum: float, quanta: int) -> Uniform:
    return Uniform(low=low, high=low + quanta * quantum, quantum=quantum)


def quantized_log(quantum: float, first: int, quanta: int) -> LogUniform:
    return LogUniform(low=first * quantum, high=(first + quanta) * quantum, quantum=quantum)


QUANTA = st.integers(1, 1000)
QUANTIZED: st.SearchStrategy[Uniform | LogUniform] = st.builds(
    quantized, st.floats(-100, 100), st.floats(0.01, 10), QUANTA
) | st.builds(quantized_log, st.floats(1e-12, 1e12), QUANTA, QUANTA)
REALS = st.one_of(UNIFORMS, LOG_UNIFORMS, LOGITS, ONE_MINUS_LOGS)
DISTRIBUTIONS: st.SearchStrategy[Distribution] = st.one_of(
    REALS, QUANTIZED, INTS, LOG_INTS, CHOICES
)


@given(DISTRIBUTIONS, UNITS)
def test_a_unit_maps_into_the_space(distribution: Distribution, unit: float) -> None:
    assert distribution.contains(distribution.from_unit(unit))


@given(INTS | LOG_INTS | QUANTIZED | CHOICES, UNITS)
def test_discrete_values_survive_the_round_trip(distribution: Distribution, unit: float) -> None:
    value = distribution.from_unit(unit)
    assert distribution.from_unit(distribution.to_unit(value)) == value


@given(REALS, UNITS)
def test_real_values_survive_the_round_trip(
    distribution: Uniform | LogUniform | LogitUniform | OneMinusLogUniform, unit: float
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


@given(REALS | QUANTIZED | INTS | LOG_INTS, UNITS, UNITS)
def test_larger_units_never_give_smaller_values(
    distribution: Distribution, one: float, two: float
) -> None:
    low, high = distribution.from_unit(min(one, two)), distribution.from_unit(max(one, two))
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
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


@given(QUANTIZED, UNITS, st.sampled_from([-1e-18, 1e-18]))
def test_the_smallest_step_moves_a_quantized_value_by_a_quantum(
    distribution: Uniform | LogUniform, unit: float, size: float
) -> None:
    values = values_of(distribution)
    value = distribution.from_unit(unit)
    index = values.index(value) + (1 if size > 0 else -1)
    assert distribution.step(value, size) == values[max(0, min(len(values) - 1, index))]


@given(QUANTIZED)
def test_quantized_values_are_counted_and_rise_evenly(distribution: Uniform | LogUniform) -> None:
    values = [value for value in values_of(distribution) if isinstance(value, float)]
    assert len(values) == count_of(distribution)
    assert values == sorted(set(values))
    assert all(distribution.contains(value) for value in values)
    gaps = [after - before for before, after in itertools.pairwise(values)]
    assert gaps == pytest.approx([distribution.quantum] * len(gaps), rel=1e-4)


def test_a_quantized_value_is_written_in_few_digits() -> None:
    assert values_of(Uniform(low=0.0, high=0.5, quantum=0.1)) == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert Uniform(low=0, high=1, quantum=0.1).contains(0.1 + 0.2)


def test_quantized_values_own_parts_as_wide_as_on_their_scale() -> None:
    even, log = Uniform(low=0, high=1, quantum=0.25), LogUniform(low=1, high=4, quantum=1)
    units = [step / 10_000 for step in range(1, 10_000)]
    assert [round([even.from_unit(u) for u in units].count(v) / 1e4, 2) for v in (0, 0.5, 1)] == [
        0.2,
        0.2,
        0.2,
    ]
    draws = [log.from_unit(unit) for unit in units]
    for value in (1, 2, 3, 4):
        share = math.log((value + 0.5) / (value - 0.5)) / math.log(4.5 / 0.5)
        assert draws.count(value) / len(draws) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("distribution", "count"),
    [
        (Uniform(low=0, high=1), None),
        (LogitUniform(low=0.1, high=0.9), None),
        (Uniform(low=0, high=1, quantum=0.25), 5),
        (IntUniform(low=-1, high=3), 5),
        (LogIntUniform(low=1, high=3), 3),
        (Choice(options=("a", "b")), 2),
    ],
)
def test_what_can_be_counted_is_listed(distribution: Distribution, count: int | None) -> None:
    assert count_of(distribution) == count
    assert len(values_of(distribution)) == (count or 0)
    assert all(distribution.contains(value) for value in values_of(distribution))


def test_the_middle_of_a_scale_is_what_it_is_even_in() -> None:
    assert OneMinusLogUniform(low=0.9, high=0.999).from_unit(0.5) == pytest.approx(0.99)
    assert OneMinusLogUniform(low=0.5, high=0.98).from_unit(0.5) == pytest.approx(0.9)
    assert LogitUniform(low=0.001, high=0.999).from_unit(0.5) == pytest.approx(0.5)
    odds = [one / (1 - one) for one in (0.01, 0.2)]
    middle = LogitUniform(low=0.01, high=0.2).from_unit(0.5)
    assert middle / (1 - middle) == pytest.approx(math.sqrt(odds[0] * odds[1]))


@given(DISTRIBUTIONS, UNITS)
def test_without_a_prior_a_draw_is_even(distribution: Distribution, unit: float) -> None:
    assert drawn(distribution, unit) == distribution.from_unit(unit)


@given(
    DISTRIBUTIONS.filter(lambda one: not isinstance(one, Choice)),
    UNITS,
    st.sampled_from(["low", "medium", "high"]),
    UNITS,
    UNITS,
)
def test_draws_by_a_prior_rise_and_never_leave_the_space(
    plain: Distribution, center: float, confidence: str, one: float, two: float
) -> None:
    prior = Prior.model_validate({"center": plain.from_unit(center), "confidence": confidence})
    distribution = plain.model_copy(update={"prior": prior})
    low, high = drawn(distribution, min(one, two)), drawn(distribution, max(one, two))
    assert distribution.contains(low)
    assert distribution.contains(high)
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    assert low <= high or low == pytest.approx(high, rel=1e-12)
    assert distribution.to_unit(low) == plain.to_unit(low)


@pytest.mark.parametrize(
    ("confidence", "deviation"), [("low", 0.5), ("medium", 0.25), ("high", 0.125)]
)
def test_a_prior_is_a_truncated_normal_on_the_declared_scale(
    confidence: str, deviation: float
) -> None:
    prior = {"center": 1e-3, "confidence": confidence}
    lr = DISTRIBUTION.validate_json(
        json.dumps({"kind": "log_uniform", "low": 1e-4, "high": 1, "prior": prior})
    )
    normal = truncnorm(-0.25 / deviation, 0.75 / deviation, loc=0.25, scale=deviation)
    for quantile in (0.01, 0.25, 0.5, 0.9, 0.999):
        unit = lr.to_unit(drawn(lr, quantile))
        assert unit == pytest.approx(normal.ppf(quantile), abs=1e-9)
    assert (drawn(lr, 0.0), drawn(lr, 1.0)) == (1e-4, 1.0)


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
    shares = member in (LogitUniform, OneMinusLogUniform)
    bounds: dict[str, Any] = {"low": 0.1, "high": 0.9} if shares else {"low": 1, "high": 2}
    bounds = {"options": [1, 2]} if member is Choice else bounds
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
        ({"kind": "uniform", "low": 1e300, "high": 1e300 + 1}, "low must be below high"),
        ({"kind": "log_uniform", "low": 1e300, "high": 1.0000000000000002e300}, "further apart"),
        ({"kind": "uniform", "low": 0, "high": 1, "quantum": 0}, "greater than 0"),
        ({"kind": "uniform", "low": 0, "high": 1, "quantum": 0.3}, "but got 1; 0.9 is the nearest"),
        ({"kind": "uniform", "low": 0, "high": 1, "quantum": 3}, "but got 1; 3 is the nearest"),
        (
            {"kind": "uniform", "low": 0.0005, "high": 1000, "quantum": 0.001},
            "but got 1000; 1000.0005 is the nearest",
        ),
        (
            {"kind": "log_uniform", "low": 0.09999999, "high": 1, "quantum": 0.1},
            "but got low 0.09999999 and quantum 0.1",
        ),
        ({"kind": "uniform", "low": 0, "high": 1, "quantum": 1e-9}, "must be at least 1e-06"),
        ({"kind": "log_uniform", "low": 1, "high": 5, "quantum": 2}, "at least the quantum"),
        ({"kind": "logit_uniform", "low": 0, "high": 0.5}, "greater than 0"),
        ({"kind": "logit_uniform", "low": 0.1, "high": 1}, "less than 1"),
        ({"kind": "one_minus_log_uniform", "low": 0, "high": 1}, "less than 1"),
        ({"kind": "one_minus_log_uniform", "low": -1, "high": 0}, "greater than or equal to 0"),
        (
            {"kind": "uniform", "low": 0, "high": 1, "prior": {"center": 2}},
            "prior.center must lie from low 0 to high 1, but got 2",
        ),
        (
            {"kind": "uniform", "low": 0, "high": 0.999, "prior": {"center": 0.9990001}},
            "prior.center must lie from low 0 to high 0.999, but got 0.9990001",
        ),
        (
            {"kind": "int_uniform", "low": 2, "high": 4, "prior": {"center": 1}},
            "prior.center must lie from low 2 to high 4, but got 1",
        ),
        (
            {"kind": "uniform", "low": 0, "high": 1, "prior": {"center": 0.5, "confidence": 2}},
            "'low', 'medium' or 'high'",
        ),
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
        (Uniform(low=0, high=1, quantum=0.25), [0, 1, 0.75], [0.1, 1.25, None]),
        (OneMinusLogUniform(low=0, high=0.99), [0, 0.9], [1, -0.1, None]),
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
