"""The numbered files of a run's lock, each of which one process at most can create.

``.lock`` is the first owner's, ``.lock-2`` the second's, and so on. A file is locked and filled
before anybody sees it.
"""

import errno
import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raytune_pipe.results.holder import Holder

LOCK = ".lock"
"""What the names of all lock files begin with."""

_NAME = re.compile(r"\.lock(?:-([1-9]\d*))?")
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class LockFile(NamedTuple):
    """A lock file that this process has created."""

    number: int
    descriptor: int
    holder: Holder


class Look(NamedTuple):
    """What a lock file told at the moment it was looked at."""

    number: int
    holder: Holder | None
    """None where the file does not tell, as that of a process which has not written it yet."""
    is_flocked: bool | None
    """None where the file system has no such locks."""
    beat_at_s: float
    """Its last mark of life, by the clock of the file system."""


def look_at_latest(folder: Path) -> Look | None:
    """The lock file that counts, the one with the highest number; None where there is none."""
    while numbers := _numbers(folder):
        with suppress(FileNotFoundError):  # a later owner has just deleted it
            # Without waiting: a pipe under this name would keep its readers for ever.
            descriptor = os.open(_path(folder, max(numbers)), os.O_RDONLY | os.O_NONBLOCK)
            try:
                is_flocked = _is_flocked(descriptor)  # first, so that its last word is read
                holder = Holder.parse(os.read(descriptor, 4096))
                beat_at_s = os.fstat(descriptor).st_mtime
            finally:
                os.close(descriptor)
            return Look(max(numbers), holder, is_flocked, beat_at_s)
    return None


def create_next(folder: Path, after: int) -> LockFile | None:
    """Become the owner after the one of this number; None if another process was first."""
    number = after + 1
    created = _create_whole(folder, number)
    if created is None:
        return None
    others = {*_numbers(folder)} - {number}
    if max(others, default=0) > number:  # many were, so that this number had been deleted again
        _path(folder, number).unlink(missing_ok=True)
        os.close(created.descriptor)
        return None
    for other in others:
        _path(folder, other).unlink(missing_ok=True)
    return created


def _path(folder: Path, number: int) -> Path:
    return folder / (LOCK if number == 1 else f"{LOCK}-{number}")


def _numbers(folder: Path) -> list[int]:
    """The numbers of the lock files that are there."""
    with os.scandir(folder) as entries:
        matches = [_NAME.fullmatch(entry.name) for entry in entries]
    return [int(match[1] or 1) for match in matches if match]


def _create_whole(folder: Path, number: int) -> LockFile | None:
    """A lock file that nobody sees before it is whole; None if it is there already."""
    token = secrets.randbits(63)
    temporary, path = folder / f"{LOCK}.{token}.tmp", _path(folder, number)
    created = _create(temporary, number, token)
    try:
        os.link(temporary, path)
        return created
    except FileExistsError:
        if os.fstat(created.descriptor).st_nlink > 1:  # by us: the file server's answer was lost
            return created
        os.close(created.descriptor)
        return None
    except OSError as error:
        os.close(created.descriptor)
        if error.errno not in _NO_LINKS:
            raise
        with suppress(FileExistsError):  # seen empty for an instant, in which it counts as held
            return _create(path, number, token)
        return None
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path, number: int, token: int) -> LockFile:
    """A new file, open, which this process has locked and said its name in."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        holder = Holder.here(token, has_flock=_take_flock(descriptor))
        os.write(descriptor, holder.to_bytes())
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return LockFile(number, descriptor, holder)


def _take_flock(descriptor: int) -> bool:
    """Lock a file that no other owner has; False where the file system has no such locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return False
        raise
    return True


def _is_flocked(descriptor: int) -> bool | None:
    """Whether its owner has the file locked; asked so that no two who ask hinder each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return None
        raise
    return False
