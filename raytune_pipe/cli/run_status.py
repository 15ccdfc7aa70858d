"""How a run stands: what its journal says, and whether a process still runs it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Literal

from rich import box
from rich.table import Table

from raytune_pipe.base import ResultsError
from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.cli.live_words import duration, epochs_so_far, rows
from raytune_pipe.cli.run_folder import told
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, journal_of, read_events
from raytune_pipe.results.lock import describe_holder, is_held
from raytune_pipe.results.status import STATUS

State = Literal["running", "finished", "interrupted", "failed", "killed", "damaged"]


@dataclass(frozen=True)
class RunOverview:
    """One run at the moment it was looked at."""

    path: Path
    state: State
    """As its process left it; killed where that left nothing, damaged where it cannot be read."""
    about: str | None
    """Who runs it, or why it ended so."""
    progress: LiveState
    age_s: float
    """Seconds since its last event."""

    @property
    def next_words(self) -> tuple[str, ...]:
        """The command that comes next."""
        after = {"running": "watch", "finished": "analyze", "damaged": "verify"}
        otherwise = "analyze" if self.progress.imported else "resume"
        return ("raytune-pipe", after.get(self.state, otherwise), str(self.path))

    def to_mapping(self) -> dict[str, Any]:
        """As plain values."""
        progress = self.progress
        return {
            "path": told(self.path),
            "state": self.state,
            "about": self.about,
            "trials": progress.counts,
            "epochs": progress.trained.total(),
            "epochs_planned": sum(progress.planned.values()),
            "best": progress.best and {"metric": progress.metric, **progress.best._asdict()},
            "warnings": dict(progress.warned),
            "last_event_s": self.age_s,
        }


def run_status(folder: Path) -> RunOverview:
    """How the run in a folder stands.

    Raises:
        ResultsError: the folder is not a run's, or its journal is damaged.
    """
    journal = journal_of(folder)
    was_held = is_held(folder)  # asked first: what the process wrote last is then read
    progress = LiveState()
    last: Event | None = None
    for event in read_events(journal):
        progress.apply(event)
        last = event
    state, about = _state(folder, last, was_held)
    if state != "running":
        progress.replace_status("running", "interrupted")
    latest = progress.now or journal.stat().st_mtime
    return RunOverview(folder, state, about, progress, max(0.0, time() - latest))


def run_statuses(storage: Path) -> list[RunOverview]:
    """How all runs in a storage folder stand, the one of the latest event last.

    Raises:
        ResultsError: there is none.
    """
    folders = [journal.parent for journal in storage.glob(f"*/{JOURNAL}")]
    if not folders:
        raise ResultsError(
            f"{storage}: must be the folder of a run, or one that holds runs, but there is none; "
            "name the run or its storage, or start one: raytune-pipe launch FILE"
        )
    return sorted(map(_any_status, folders), key=lambda one: -one.age_s)


def _any_status(folder: Path) -> RunOverview:
    try:
        return run_status(folder)
    except ResultsError as error:
        age_s = max(0.0, time() - folder.stat().st_mtime)
        return RunOverview(folder, "damaged", str(error), LiveState(), age_s)


def _state(folder: Path, last: Event | None, was_held: bool) -> tuple[State, str | None]:
    """The state and what there is to say about it."""
    if last and last["event"] == "finish":
        return last["state"], last["error"]
    if was_held:
        return "running", describe_holder(folder)
    said = _said_after(folder)
    if said.get("state") == "failed":
        return "failed", said.get("error")
    return "killed", "its process is gone, all it had reported is kept"


def _said_after(folder: Path) -> dict[str, Any]:
    """``status.json`` where it is newer than the journal, which a full disk may have closed."""
    status = folder / STATUS
    try:
        if status.stat().st_mtime_ns < (folder / JOURNAL).stat().st_mtime_ns:
            return {}
        return dict(json.loads(status.read_bytes()))
    except (OSError, ValueError):
        return {}


def status_table(status: RunOverview) -> Table:
    """One run: its state, its trials, the best so far, the age of its last event."""
    grid = Table.grid("", "", padding=(0, 2))
    grid.add_row("run", told(status.path))
    grid.add_row("state", status.state + (f" ({status.about})" if status.about else ""))
    for label, text in rows(status.progress):
        grid.add_row(label, text)
    grid.add_row("last event", f"{duration(status.age_s)} ago")
    return grid


def statuses_table(statuses: Sequence[RunOverview]) -> Table:
    """A row a run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "state", "trials", "epochs", "best", "last event"):
        table.add_column(name)
    for status in statuses:
        table.add_row(*_cells(status))
    return table


def _cells(status: RunOverview) -> Iterator[str]:
    progress = status.progress
    yield status.path.name
    yield status.state
    yield ", ".join(f"{count} {name}" for name, count in progress.counts.items())
    yield epochs_so_far(progress)
    yield f"{progress.metric} {progress.best.value:.4g}" if progress.best else ""
    yield f"{duration(status.age_s)} ago"
