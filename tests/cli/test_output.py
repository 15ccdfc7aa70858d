import json
import math
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner
from rich.table import Table

from raytune_pipe.cli.output import echo, plain, show, show_json, show_next


def printed(body: Callable[..., object], *arguments: object, **options: object) -> str:
    @click.command()
    def command() -> None:
        body(*arguments, **options)

    return CliRunner().invoke(command, []).stdout


def test_numbers_that_are_not_finite_become_null() -> None:
    value = {"a": math.nan, "b": (1.5, -math.inf), "c": [{"d": math.inf}], "e": "nan", "f": None}
    expected = {"a": None, "b": [1.5, None], "c": [{"d": None}], "e": "nan", "f": None}
    assert plain(value) == expected
    assert json.loads(printed(show_json, value)) == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["best", "results/x"], "next: best results/x"),
        (["best", "my results/x"], "next: best 'my results/x'"),
        (["launch", "x.yaml", "--set", "model.widths=[1]"], "'model.widths=[1]'"),
    ],
)
def test_next_command_is_ready_to_paste(words: list[str], line: str) -> None:
    assert line in printed(show_next, *words)
    assert printed(show_next, *words, as_json=True) == ""


def test_a_piped_table_is_neither_wrapped_nor_cut_nor_padded() -> None:
    table = Table("name", "value")
    table.add_row("a" * 300, "b")
    lines = printed(show, table).splitlines()
    assert any("a" * 300 in line for line in lines)
    assert all(line == line.rstrip() and "\x1b" not in line for line in lines)


STEERING = {
    "ESC": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "C1 CSI": ("\x9b31m", r"\x9b31m"),
    "link": ("\x1b]8;;http://x\x1b\\y", r"\x1b]8;;http://x\x1b\y"),
    "carriage return": ("ok\rfailed", r"ok\rfailed"),
    "right-to-left": ("\u202egpj.exe", r"\u202egpj.exe"),
    "isolate": ("\u2066x\u2069", r"\u2066x\u2069"),
    "delete": ("a\x7fb", r"a\x7fb"),
    "half a surrogate pair": ("a\udc9bb", r"a\udc9bb"),
    "what is harmless": ("größe\u00a0= 模型", "größe\u00a0= 模型"),
}


@pytest.mark.parametrize(("text", "safe"), STEERING.values(), ids=STEERING)
def test_no_text_steers_the_terminal(text: str, safe: str) -> None:
    table = Table.grid()
    table.add_row(text)
    assert printed(echo, text) == f"{safe}\n"
    assert printed(show, table) == f"{safe}\n"
    assert printed(show, text) == f"{safe}\n"
    assert safe in printed(show_next, "best", text)
    shown = printed(show_json, {text: text})
    assert shown.rstrip("\n").isprintable() or safe == text
    assert json.loads(shown) == {text: text}
