"""What a launch looks like while it runs: a table on a terminal, else lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import time
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from raytune_pipe.cli.live_state import UNFIT, LiveState
from raytune_pipe.cli.live_words import line, rows
from raytune_pipe.results.events import Event

REFRESH_HZ = 4
"""Drawings of the table per second."""
TROUBLE = (*UNFIT, "timed_out")
"""Statuses of trials whose end is worth a line of its own."""


def table(state: LiveState) -> Table:
    """The live table: counts, epochs, time left, the best trial and its hyperparameters."""
    grid = Table.grid("", "", padding=(0, 2))
    for label, text in rows(state):
        grid.add_row(label, text)
    if state.planned and state.began is None:
        grid.add_row("", "starting Ray")
    return grid


class Display(NamedTuple):
    """Shows a run while it goes."""

    hear: Callable[[Event], None]
    """Called with every event of the run."""
    recall: Callable[[Event], None]
    """Called with those of before instead: only what they have come to is shown."""


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """A display: a table on a terminal, else lines."""
    state = LiveState()
    if not console.is_terminal:

        def print_line(event: Event) -> None:
            state.apply(event)
            text = line(event, state)
            if text:
                console.print(text)

        yield Display(print_line, state.apply)
        return

    lock = Lock()

    def draw() -> Table:
        with lock:
            state.now = max(state.now, time())
            return table(state)

    def hear(event: Event) -> None:
        with lock:
            state.apply(event)
        is_trouble = event["event"] == "end" and event["status"] in TROUBLE
        is_first = event["event"] == "warning" and len(state.warned[event["kind"]]) == 1
        if is_trouble or is_first or event["event"] in ("retry", "anomaly"):
            console.print(line(event, state))

    def recall(event: Event) -> None:
        with lock:
            state.apply(event)

    # Drawn by a thread of its own, so that events cost nothing and the time goes on between them.
    with Live(get_renderable=draw, console=console, refresh_per_second=REFRESH_HZ):
        yield Display(hear, recall)
