"""What is shown of a job while its log comes in: its lines, and how its run stands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from raytune_pipe.cli.job_lines import read
from raytune_pipe.cli.live import REFRESH_HZ


@dataclass
class JobView:
    """What the log of a job has told so far."""

    path: str | None = None
    """The folder of its run, where the job runs."""
    rows: list[tuple[str, str]] = field(default_factory=list)
    """The live table's."""
    status: dict[str, Any] | None = None
    """``status.json`` as the run left it; None while it goes, and where it was killed."""
    result: dict[str, Any] | None = None
    """What `launch --json` prints."""

    def take(self, line: str) -> bool:
        """Take a line of the log; whether it was one for this view, not for people."""
        told = read(line)
        if told is None:
            return False
        self.path = told.get("path") or self.path
        self.rows = [(str(label), str(text)) for label, text in told.get("rows", self.rows)]
        self.status = told.get("status", self.status)
        self.result = told.get("result", self.result)
        return True

    def table(self) -> Table:
        """The rows, as they are drawn on a terminal."""
        grid = Table.grid("", "", padding=(0, 2))
        for label, text in self.rows:
            grid.add_row(label, text)
        return grid


def view_of(log: str) -> JobView:
    """What a whole log tells."""
    view = JobView()
    for line in log.splitlines():
        view.take(line)
    return view


@contextmanager
def job_display(view: JobView, console: Console) -> Iterator[Callable[[str], None]]:
    """Takes the lines of a log: prints those for people, and redraws the table on a terminal."""

    def hear(line: str) -> None:
        if not view.take(line):
            console.print(line, soft_wrap=True)

    if not console.is_terminal:
        yield hear
        return
    with Live(get_renderable=view.table, console=console, refresh_per_second=REFRESH_HZ):
        yield hear
