"""One owner for a run directory, also where hosts share a file system.

The lock is a file that tells who owns the run. Nobody changes or deletes another's that counts: to
take over is to create the next one, which the file system lets one process do. So of many that see
the same stale lock one becomes the owner, with the operating system's locks (``flock``) or without.

Whether an owner is still there is told by ``flock`` where both run under one kernel; else by its
process id, where that means the same to both; else by its heartbeat.
"""

import os
import shlex
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from raytune_pipe.base import NameTakenError
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.holder import time_since_boot_s
from raytune_pipe.results.lease import describe_lease, is_leased
from raytune_pipe.results.locations import copy_of
from raytune_pipe.results.lock_files import LOCK, LockFile, Look, create_next, look_at_latest
from raytune_pipe.results.object_store import ObjectStore

HEARTBEAT_S = 10.0
"""Seconds between two marks of life of an owner: the times at which its file was changed."""
STALE_AFTER_S = 60.0
"""Seconds without one after which an owner that cannot be asked counts as gone."""
UNSURE_AFTER_S = 30.0
"""Seconds without one (its process was stopped) after which an owner looks before it writes."""


class Lock:
    """The lock of a run, held from `take_lock` to `release`."""

    def __init__(self, folder: Path, file: LockFile, took_over: str | None) -> None:
        self.took_over = took_over
        """Whose lock it was, and why that one counts as gone; None where nobody's was left."""
        self._folder = folder
        self._file = file
        self._lost: str | None = None
        self._beat_at_s = time_since_boot_s()
        self._released = threading.Event()
        self._looking = threading.Lock()  # so that no look touches a descriptor that was closed
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def require_held(self) -> None:
        """Raise `NameTakenError` where another process has taken the lock over.

        Cheap: the heartbeat looks, and this call itself only after a pause without one.
        """
        if time_since_boot_s() - self._beat_at_s > UNSURE_AFTER_S:
            self._look()
        if self._lost:
            folder = shlex.quote(str(self._folder))
            raise NameTakenError(
                f"{self._folder}: to write to a run, a process must own it, but this one "
                f"{self._lost}; it writes nothing more; see how the run goes on: raytune-pipe "
                f"status {folder}"
            )

    def release(self) -> None:
        """Let the lock go, so that another process can take it at once, on any host."""
        with self._looking:
            if self._released.is_set():
                return
            self._released.set()
            with suppress(OSError):  # the folder may be gone; the end of the flock tells too
                os.pwrite(self._file.descriptor, self._file.holder.as_released().to_bytes(), 0)
            os.close(self._file.descriptor)

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_S):
            self._look()

    def _look(self) -> None:
        """See whether the lock is still ours, and if so leave a mark of life."""
        with self._looking, suppress(OSError):  # a storage that is out of reach tells nothing
            if self._released.is_set():
                return
            latest = look_at_latest(self._folder)
            if latest is None:
                self._lost = f"has lost its {LOCK} file"
            elif latest.holder is None or latest.holder.token != self._file.holder.token:
                self._lost = f"has lost it to {_name(latest)}"
            else:
                os.utime(self._file.descriptor)
                self._beat_at_s = time_since_boot_s()


def take_lock(folder: Path, *, steal: bool = False) -> Lock:
    """Become the owner of a run, until the lock is released or the process ends.

    With ``steal``, an owner which cannot be asked whether it is still there loses the lock.

    Raises:
        NameTakenError: another process holds it.
    """
    with storage_errors(folder / LOCK):
        while True:  # whoever comes too late for a number looks at its new owner
            seen = look_at_latest(folder)
            why = _why_free(folder, seen) if seen else ""
            if seen and why is None:
                if not steal or _can_be_asked(seen):
                    raise _held(folder, seen)
                why = "it was taken by force, with --steal-lock"
            file = create_next(folder, after=seen.number if seen else 0)
            if file:
                return Lock(folder, file, f"{_name(seen)}: {why}" if seen and why else None)


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock, as far as can be told from here; hinders nobody.

    Of a copy of a run in a bucket: whether a driver holds that.
    """
    if uri := copy_of(folder):
        return is_leased(ObjectStore(uri))
    try:
        seen = look_at_latest(folder)
        return seen is not None and _why_free(folder, seen) is None
    except OSError:
        return False


def describe_holder(folder: Path) -> str:
    """Who took the lock last, for people; with its heartbeat where nothing else tells of it."""
    if uri := copy_of(folder):
        return describe_lease(ObjectStore(uri))
    with suppress(OSError):
        if seen := look_at_latest(folder):
            return _describe(folder, seen)
    return "another process"


def holder_here(folder: Path) -> int | None:
    """The id of the process that holds the run, where it is certain that it runs on this host."""
    with suppress(OSError):
        seen = look_at_latest(folder)
        holder = seen and seen.holder
        if holder and not holder.released and holder.is_visible and not holder.why_gone():
            return holder.pid
    return None


def _why_free(folder: Path, seen: Look) -> str | None:
    """Why nobody holds the run any more; empty where it was let go, None where it is held."""
    holder = seen.holder
    if holder is None and seen.is_flocked:
        return None
    if holder and holder.released:
        return ""
    if holder and holder.is_under_this_kernel:
        if seen.is_flocked:
            return None
        if seen.is_flocked is False and holder.has_flock:
            return (holder.is_visible and holder.why_gone()) or "it does not hold it any more"
        if holder.is_visible:
            return holder.why_gone()
    age_s = _heartbeat_age_s(folder, seen)
    if age_s is None:
        return None
    if holder and holder.ended_before_this_boot(age_s):
        return "its host was started anew"
    return f"its last heartbeat was {age_s:.0f} s ago" if age_s > STALE_AFTER_S else None


def _can_be_asked(seen: Look) -> bool:
    """Whether this host tells for certain if the owner is still there."""
    if seen.holder is None:
        return bool(seen.is_flocked)
    return seen.holder.is_visible or bool(seen.is_flocked and seen.holder.is_under_this_kernel)


def _heartbeat_age_s(folder: Path, seen: Look) -> float | None:
    """Seconds since the owner's last mark of life; None where that cannot be told.

    Both times are taken by the file system: the clocks of two hosts may differ.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=f"{LOCK}.") as probe:
            return os.fstat(probe.fileno()).st_mtime - seen.beat_at_s
    except OSError:
        return None


def _name(seen: Look) -> str:
    return str(seen.holder or "another process")


def _describe(folder: Path, seen: Look) -> str:
    age_s = None if _can_be_asked(seen) else _heartbeat_age_s(folder, seen)
    return _name(seen) + (f" (last heartbeat {age_s:.0f} s ago)" if age_s is not None else "")


def _held(folder: Path, seen: Look) -> NameTakenError:
    run = shlex.quote(str(folder))
    ways = f"wait for it, or stop it first: raytune-pipe stop {run}"
    if not _can_be_asked(seen):
        ways += (
            f"; where its host cannot be asked, it counts as gone {STALE_AFTER_S:g} s after its "
            f"last heartbeat; if you know that it is gone: raytune-pipe resume {run} --steal-lock"
        )
    return NameTakenError(
        f"{folder}: only one process may write to a run, but it is held by "
        f"{_describe(folder, seen)}; {ways}"
    )
