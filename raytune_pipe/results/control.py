"""Following and ending a run from any process that sees its folder."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from raytune_pipe.base import NameTakenError
from raytune_pipe.results.bucket_runs import refresh_copy
from raytune_pipe.results.events import Event
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.journal import journal_of, read_events
from raytune_pipe.results.locations import copy_of
from raytune_pipe.results.lock import describe_holder, holder_here, is_held
from raytune_pipe.results.object_store import ObjectStore

STOP = ".stop"
"""The file that asks the process which runs a folder to end."""
STOP_KEY = "stop"
"""The object that asks it of a run in a bucket."""
POLL_S = 0.25
"""Seconds between two looks at a run."""
KILL_AFTER_S = 10.0
"""Seconds from SIGTERM to SIGKILL."""


def follow(folder: Path, poll_s: float = POLL_S) -> Iterator[Event]:
    """The events of a run from the first on, then each as it comes, until nobody runs it.

    Raises:
        ResultsError: the folder is not a run's, or its journal is damaged.
    """
    events = read_events(journal_of(folder))
    while True:
        is_running = is_held(folder)  # asked first: what the process wrote last is then read
        refresh_copy(folder)
        yield from events
        if not is_running:
            return
        time.sleep(poll_s)


def request_stop(folder: Path) -> None:
    """Ask the process that runs the folder, or the run it is a copy of, to end as on Ctrl-C."""
    if uri := copy_of(folder):
        ObjectStore(uri).put(STOP_KEY, b"")
        return
    with storage_errors(folder / STOP):
        (folder / STOP).touch(mode=0o600)


def is_stop_requested(folder: Path) -> bool:
    """Whether the run is to end; workers ask this once an epoch."""
    return (folder / STOP).exists()


def take_stop_request(folder: Path) -> bool:
    """Whether the run was asked to end; the request is gone then."""
    try:
        (folder / STOP).unlink()
    except OSError:  # nearly always: there is none
        return False
    return True


def has_ended(folder: Path, within_s: float) -> bool:
    """Whether nobody runs the folder any more; waits for that as long as is given."""
    deadline = time.monotonic() + within_s
    while is_held(folder):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    refresh_copy(folder)
    return True


def end_now(folder: Path, kill_after_s: float = KILL_AFTER_S) -> None:
    """End the process that runs the folder by SIGTERM, and by SIGKILL where that does not help.

    Raises:
        NameTakenError: the process cannot be ended from here.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_held(folder):
            return
        _send(number, folder)
        if has_ended(folder, kill_after_s):
            return


def _send(number: signal.Signals, folder: Path) -> None:
    """Send a signal to the process that holds the run, which runs on this host for this user."""
    pid = holder_here(folder)
    if pid is None and not is_held(folder):
        return
    with suppress(ProcessLookupError, PermissionError):
        if pid is not None:
            os.kill(pid, number)
            return
    raise NameTakenError(
        f"{folder}: to be ended at once, a run must be held by your own process on this host, but "
        f"it is held by {describe_holder(folder)}; stop it without --now, or do this there"
    )
