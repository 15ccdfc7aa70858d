"""Files that are either whole or absent, and storage errors a user can act on."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import BinaryIO

from raytune_pipe.base import ResultsError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system error into a `ResultsError` that names the file and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (ENOSPC, EDQUOT):
            reason += f" ({_free_bytes(path):,} bytes free); free some and run again"
        raise ResultsError(f"{path}: the file must be accessible, but got: {reason}") from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> str:
    """Replace a file as a whole: readers see the old one or the new one, also after a crash.

    ``write`` fills a temporary file whose leading dot hides it from readers of the folder. Returns
    the SHA-256 (hex) of what it wrote.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            temporary.replace(path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return digest


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a file (hex); None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def flush_folder(path: Path) -> None:
    """Flush a folder's entries to disk, so that a new name in it outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_bytes(path: Path) -> int:
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    return shutil.disk_usage(nearest).free
