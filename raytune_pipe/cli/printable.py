"""Text from files and from users' code, made fit for a terminal: nothing in it can steer one.

Names, values and errors come from experiment files, journals and trials' own code. A terminal takes
orders from some characters (ESC and the C1 controls begin sequences that move the cursor, set
titles and links, or answer on stdin), and others reverse the order in which the rest is shown.
"""

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text


def printable(text: str) -> str:
    r"""The text, with all but printable characters, spaces, tabs and newlines as escapes: \x1b."""
    if text.isprintable():
        return text
    return "".join(
        one if _is_harmless(one) else one.encode("unicode_escape").decode() for one in text
    )


def printable_json(text: str) -> str:
    r"""The same JSON, with such characters as its own escapes: \u001b."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in "\t\n" or unicodedata.category(character) == "Zs"


class PrintableConsole(Console):
    """A console that steers the terminal itself, but lets no text do so."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text printable before its width is measured, so that a cell has room for it."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable, printable also where they come from a `Text`."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
