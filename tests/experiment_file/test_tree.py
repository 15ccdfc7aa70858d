"""YAML text to plain values: the core schema, places, and refusals that say where."""

import io
import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from raytune_pipe.experiment_file.tree import Source, TextError, parse, resolve


def value(text: str) -> Any:
    return parse(Source("x.yaml", text)).value


def error(text: str) -> TextError:
    with pytest.raises(TextError) as caught:
        parse(Source("x.yaml", text))
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", 1e-4),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("0b101", "0b101"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_text_means_what_yaml_1_2_says(text: str, expected: Any) -> None:
    got = resolve(text)
    assert got == expected
    assert type(got) is type(expected)


def test_quoted_text_stays_text() -> None:
    assert value("a: '1'\nb: \"null\"\nc: |-\n  2") == {"a": "1", "b": "null", "c": "2"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=6), JSON_VALUES))
def test_what_ruamel_writes_is_read_back(plain: dict[str, Any]) -> None:
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_unicode, yaml.width = False, 1_000_000
    yaml.default_flow_style = False  # as experiments are written; "?0" is misread in flow style
    yaml.dump(plain, text)
    assert value(text.getvalue()) == plain


def test_every_value_and_key_has_its_place() -> None:
    tree = parse(Source("x.yaml", "a:\n  b: [1, {c: 2}]\n"))
    place = tree.place(("a", "b", 1, "c"))
    assert place is not None
    assert (place.line, place.column) == (1, 13)
    key = tree.place(("a", "b"), at_key=True)
    assert key is not None
    assert (key.line, key.column) == (1, 2)


def test_what_is_missing_is_placed_at_the_key_that_should_hold_it() -> None:
    tree = parse(Source("x.yaml", "trial:\n  model: {kind: mlp}\n"))
    place = tree.place(("trial", "optimizer", "lr"))
    assert place is not None
    assert (place.line, place.column) == (0, 0)


def test_an_alias_repeats_its_anchor_and_keeps_where_it_was_written() -> None:
    tree = parse(Source("x.yaml", "a: &x {b: 1}\nc: *x"))
    assert tree.value == {"a": {"b": 1}, "c": {"b": 1}}
    assert tree.value["a"] is not tree.value["c"]
    assert tree.place(("c", "b")) == tree.place(("a", "b"))


def test_a_key_given_twice_is_told_and_the_rest_still_read() -> None:
    tree = parse(Source("x.yaml", "a: 1\nb: {c: 1, c: 2}\na: 3\nd: 4"))
    assert tree.value == {"a": 1, "b": {"c": 1}, "d": 4}
    places = [(each.place.line, each.place.column, each.path) for each in tree.problems]
    assert places == [(1, 10, ("b", "c")), (2, 0, ("a",))]
    assert "first on line 1" in tree.problems[1].message


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: !!python/object:os.system x", 0, 3, "has the tag"),
        ("a: !!float 3", 0, 3, "leave it out"),
        ("a: 1\n---\nb: 2", 1, 0, "one YAML document"),
        ("a: &x [1, *x]", 0, 10, "must not contain itself"),
        ("a: *x", 0, 3, "must name an anchor above it"),
        ("<<: {a: 1}", 0, 0, "merge keys"),
        ("null: 1", 0, 0, "quote it"),
        ("? [1]\n: 2", 0, 2, "keys of plain text"),
        ("a: [1\nb: 2", 1, 1, "must be YAML"),
        ("a:\n\tb: 1", 1, 0, "indent with spaces"),
        ("a: b: c", 0, 4, "mapping values are not allowed"),
        ("a: 1\nb: \x07", 1, 3, "printable"),
        ('a: "\\ud800"', 0, 3, "surrogate"),
        ("[" * 60, 0, 51, "50 levels deep"),
        ("- a\n" * 10_001, 9999, 2, "10,000 values"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    text: str, line: int, column: int, message: str
) -> None:
    caught = error(text)
    assert message in caught.message
    assert (caught.place.line, caught.place.column) == (line, column)


def test_aliases_that_grow_without_end_are_refused_at_once() -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for level in range(1, 12):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    started = time.perf_counter()
    assert "10,000 values" in error(bomb).message
    assert time.perf_counter() - started < 2


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        told = json.dumps(value(text))
    except TextError as caught:
        told = caught.message
    assert told
