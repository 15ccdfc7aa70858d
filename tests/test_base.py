"""The ground rules: strict frozen components, keyed draws, errors with their exit codes."""

import math
from statistics import mean
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raytune_pipe.base import (
    ClusterError,
    Component,
    ConfigError,
    Count,
    NameTakenError,
    Positive,
    RaytunePipeError,
    ResultsError,
    TooFewTrialsError,
    TrialError,
    list_text,
    members,
    seed_draw,
    to_json,
    unit_draw,
)


class Example(Component):
    """A component with a field of two kinds."""

    rate: Positive = 0.1
    """A rate."""
    count: Count = 1
    """A count."""


@pytest.mark.parametrize(
    "text",
    [
        '{"rat": 0.1}',
        '{"rate": "0.1"}',
        '{"rate": NaN}',
        '{"rate": Infinity}',
        '{"rate": 0}',
        '{"count": 1.0}',
        '{"count": true}',
        '{"count": 0}',
    ],
)
def test_a_component_takes_nothing_but_what_it_declares(text: str) -> None:
    with pytest.raises(ValidationError):
        Example.model_validate_json(text)


class Other(Component):
    """A component without fields."""


class ByKind(Component):
    """A mapping keyed by kind."""

    other: Other = Other()
    """One that is always on."""
    example: Example | None = None
    """One that may be off."""


def test_members_are_the_classes_of_a_union_or_of_a_mapping() -> None:
    assert members(Annotated[Example | Other, "told apart somehow"]) == (Example, Other)
    assert members(ByKind) == (Other, Example)


def test_a_component_is_frozen_and_described() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Example(), "rate", 0.2)  # noqa: B010  # mypy refuses the plain assignment
    assert Example.model_fields["rate"].description == "A rate."


@given(st.lists(st.integers() | st.text(alphabet=st.characters(codec="utf-8")), min_size=1))
def test_a_draw_is_fixed_by_its_key(key: list[int | str]) -> None:
    assert 0 <= unit_draw(*key) < 1
    assert unit_draw(*key) == unit_draw(*key)
    assert 0 <= seed_draw(*key) < 2**31


def test_draws_stay_what_they_were() -> None:
    """A changed draw would break the replay of every journal ever written."""
    assert unit_draw(0, "explore", "00003", 2, "optimizer.lr") == 0.10498207525056613
    assert seed_draw(0, "trial", "00000") == 1181653619


def test_draws_of_neighbouring_keys_are_spread_evenly() -> None:
    draws = [unit_draw(0, "search", index) for index in range(10_000)]
    assert mean(draws) == pytest.approx(0.5, abs=0.01)
    assert len(set(draws)) == 10_000
    for tenth in range(10):
        share = mean(tenth <= 10 * draw < tenth + 1 for draw in draws)
        assert share == pytest.approx(0.1, abs=0.01)


def test_numbers_and_their_text_are_different_keys() -> None:
    assert unit_draw(1) != unit_draw("1")
    assert unit_draw("a", "b") != unit_draw("ab")


def test_each_error_has_the_exit_code_of_the_design() -> None:
    codes = {
        ConfigError: 2,
        TooFewTrialsError: 3,
        NameTakenError: 4,
        ResultsError: 5,
        ClusterError: 6,
        TrialError: 1,
        RaytunePipeError: 1,
    }
    assert {error: error.exit_code for error in codes} == codes


def test_json_is_compact_sorted_and_keeps_letters() -> None:
    assert to_json({"b": [1, math.nan], "a": "é"}) == '{"a":"é","b":[1,NaN]}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([0, 0.5], "[0,0.5]"),
        ((0.0, 0.5), "[0,0.5]"),
        ([1e300, True, "1.0", {"a": [2.0, math.inf]}], '[1e+300,true,"1.0",{"a":[2,Infinity]}]'),
    ],
)
def test_equal_lists_have_one_text(value: Any, text: str) -> None:
    assert list_text(value) == text
