"""One owner for a run directory: a lock that the operating system drops when its process ends."""

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from raytune_pipe.base import NameTakenError
from raytune_pipe.results.files import storage_errors

LOCK = ".lock"


def take_lock(folder: Path) -> int:
    """The open descriptor that holds the lock; closing it lets the lock go.

    Raises:
        NameTakenError: another process holds it.
    """
    path = folder / LOCK
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise NameTakenError(
                f"{folder}: only one process may write to a run, but it is held by "
                f"{describe_holder(folder)}; wait for it, or stop it first"
            ) from None
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": time.time()}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock.

    Asking takes the lock, shared and for an instant: only ask where an answer is needed.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a storage without locks
        return False
    finally:
        os.close(descriptor)
    return False


def describe_holder(folder: Path) -> str:
    """Who took the lock last, for people; the lock itself, not this text, says who holds it."""
    try:
        holder = json.loads((folder / LOCK).read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
