"""The lines in a job's log by which its run tells who watches from elsewhere how it stands."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from raytune_pipe.base import to_json
from raytune_pipe.cli.live import Display
from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.cli.live_words import rows
from raytune_pipe.cli.output import plain
from raytune_pipe.results.events import Event
from raytune_pipe.tuning.jobs import current_job

PREFIX = "raytune-pipe: "
"""What such a line begins with; JSON follows."""

EVERY_S = 2.0
"""Seconds between two of them at the least; in a long run a five-hundredth of its age."""


def write(told: Mapping[str, Any]) -> None:
    """Write such a line where this process is a job's."""
    if current_job():
        sys.stderr.write(f"{PREFIX}{to_json(plain(told))}\n")  # as one, between other lines
        sys.stderr.flush()


def read(line: str) -> dict[str, Any] | None:
    """What such a line tells; None for any other."""
    if not line.startswith(PREFIX):
        return None
    try:
        told = json.loads(line.removeprefix(PREFIX))
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


@contextmanager
def status_lines(folder: Callable[[Event], Path | None]) -> Iterator[Display]:
    """Tells where the run's folder is, how the run stands, and at the end its ``status.json``.

    Nothing where this process is not a job's. ``folder`` finds that of a run by its first event.
    """
    if not current_job():
        yield Display(lambda _event: None, lambda _event: None)
        return
    lines = _Lines(folder)
    try:
        yield Display(lines.hear, lines.state.apply)
    finally:
        lines.end()


class _Lines:
    """Writes them for one run."""

    def __init__(self, folder: Callable[[Event], Path | None]) -> None:
        self.state = LiveState()
        self._folder = folder
        self._path: Path | None = None
        self._began = self._due = monotonic()

    def hear(self, event: Event) -> None:
        self.state.apply(event)
        self._path = self._path or self._folder(event)
        now = monotonic()
        if now >= self._due:
            self._due = now + max(EVERY_S, (now - self._began) / 500)
            write({"path": self._path and str(self._path), "rows": [*rows(self.state)]})

    def end(self) -> None:
        from raytune_pipe.results.status import STATUS

        if self._path is None:
            return
        try:
            status = json.loads((self._path / STATUS).read_bytes())
        except (OSError, ValueError):
            return  # who watches then goes by the exit code
        write({"path": str(self._path), "rows": [*rows(self.state)], "status": status})
