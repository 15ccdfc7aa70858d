"""``status.json``: how a run stands, for programs and for people."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from raytune_pipe.base import ResultsError, to_json
from raytune_pipe.results.checksums import read_checked
from raytune_pipe.results.events import Status
from raytune_pipe.results.journal import JOURNAL

RunState = Literal["running", "finished", "interrupted", "failed"]

STATUS = "status.json"
"""Its name in a run directory."""


class RunStatus(NamedTuple):
    """What a run's status says that follows from its journal."""

    state: str
    trials: dict[str, int]
    """Their number by status."""
    journal_bytes: int
    """The length of the journal that it was told from."""


def status_bytes(
    state: RunState,
    trials: Mapping[Status | Literal["not_started"], int],
    journal_bytes: int,
    *,
    exit_code: int | None,
    error: str | None,
) -> bytes:
    """What ``status.json`` holds from now on; `read_status` reads it."""
    status = {
        "state": state,
        "exit_code": exit_code,
        "trials": trials,
        "error": error,
        "journal_bytes": journal_bytes,
        "updated": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
    }
    return (to_json(status) + "\n").encode()


def read_status(path: Path) -> RunStatus | None:
    """What ``status.json`` says; None unless it is as its checksum says, and ours."""
    data = read_checked(path, STATUS)
    try:
        status = json.loads(data or b"")
        return RunStatus(status["state"], status["trials"], int(status["journal_bytes"]))
    except (ValueError, KeyError, TypeError):
        return None


def require_whole_journal(path: Path) -> None:
    """Raise `ResultsError` where the journal is shorter than when the status was written.

    Going on would replace tables that hold what it has lost.
    """
    status = read_status(path)
    found = (path / JOURNAL).stat().st_size
    if status and found < status.journal_bytes:
        raise ResultsError(
            f"{path / JOURNAL}: must have the {status.journal_bytes:,} bytes it once had, but "
            f"has {found:,}: its end is lost, though the tables hold what it told; "
            "restore it from a copy"
        )
