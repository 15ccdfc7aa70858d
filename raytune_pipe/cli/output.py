"""What commands print: the result on stdout, all else on stderr."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 1000
"""Columns where nobody looks: lines are not wrapped, cells not cut."""


def console(*, stderr: bool = False) -> "Console":
    """A console on stdout or stderr; plain text, never wrapped, where that is not a terminal.

    No text that it prints can steer the terminal.
    """
    from raytune_pipe.cli.printable import PrintableConsole

    made = PrintableConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPED_WIDTH
    return made


def echo(text: str, *, err: bool = False) -> None:
    """Print a line in which nothing can steer the terminal."""
    from raytune_pipe.cli.printable import printable

    click.echo(printable(text), err=err)


def show(*parts: "RenderableType", err: bool = False) -> None:
    """Print a result for people, on stdout, or on stderr beside another command's result."""
    shown = console(stderr=err)
    with shown.capture() as captured:
        for part in parts:
            shown.print(part, soft_wrap=isinstance(part, str))  # a path must stay whole
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), err=err)


def show_json(result: Any) -> None:
    """Print a result for programs, on stdout: one line of JSON, what is not finite as null."""
    from raytune_pipe.base import to_json
    from raytune_pipe.cli.printable import printable_json

    click.echo(printable_json(to_json(plain(result))))


def show_next(*words: str, as_json: bool = False) -> None:
    """Print the command that comes next, ready to paste; on stderr beside JSON."""
    from raytune_pipe.cli.run_folder import told

    echo(f"next: {shlex.join(map(told, words))}", err=as_json)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers that are not finite become null, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value
