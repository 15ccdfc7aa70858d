"""Files that are either whole or absent, and storage errors a user can act on."""

import errno
import hashlib
import io
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from raytune_pipe.base import ResultsError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CURES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EROFS: "mount the file system so that it can be written",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EIO: "the disk or the way to it fails (dmesg tells more): mend it, or move the folder",
    errno.ENOENT: "it was moved or deleted: put it back where it was",
    errno.ESTALE: "it was moved or deleted on the file server: put it back where it was",
    errno.ENOTDIR: "there is a file where a folder must be: move it away",
    errno.EMFILE: "raise the number of files a process may have open (ulimit -n)",
    errno.EFBIG: "raise the size that a file may have (ulimit -f)",
    errno.ENFILE: "the whole machine has too many files open: end what holds them",
}
"""What to do, by the operating system's number of the error."""

_TEMPORARY = re.compile(r"\..+\.\d+(\.tmp)?")
"""The names of files that were still being written, by `write_atomically` or by a trainer."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system error into a `ResultsError`: the file, the reason, what to do."""
    try:
        yield
    except OSError as error:
        free = f" ({_free_bytes(path):,} bytes free)" if error.errno in _FULL else ""
        cure = f"; {_CURES[error.errno]}, and run again" if error.errno in _CURES else ""
        text = f"{path}: the file must be accessible, but got: {_reason(error)}{free}{cure}"
        raise ResultsError(text) from error


@contextmanager
def write_errors(path: Path, run: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Likewise where a file of a run is written, which can be gone on with afterwards."""
    try:
        yield
    except OSError as error:
        raise _write_error(error, path, run, needed_bytes) from error


def write_atomically(
    path: Path, write: Callable[[BinaryIO], object], run: Path | None = None
) -> str:
    """Replace a file of a run as a whole: readers see the old one or the new one, whatever fails.

    ``write`` fills a temporary file whose leading dot hides it from readers of the folder; on a
    full disk it is called once more, to count the bytes. ``run`` is the run's folder where the
    file does not lie right in it. Returns the SHA-256 (hex) of what was written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w+b") as file:
            os.fchmod(file.fileno(), 0o600)  # for this user alone, whatever the umask
            write(file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        temporary.replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # the next process to go on with the run clears it away
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            needed_bytes = _count_bytes(write) if error.errno in _FULL else None
            raise _write_error(error, path, run or path.parent, needed_bytes) from error
        raise
    return digest


def leftovers(folder: Path) -> list[str]:
    """The temporary files of processes that were killed, relative to the folder."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob(".*")
        if _TEMPORARY.fullmatch(path.name) and path.is_file()
    )


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


def _write_error(error: OSError, path: Path, run: Path, needed: int | None) -> ResultsError:
    sizes = f"{_free_bytes(path):,} bytes free"
    if needed is not None:
        sizes += f", {needed:,} needed"
    cure = _CURES.get(error.errno or 0, "mend that")
    return ResultsError(
        f"{path}: must be written, but got: {_reason(error)} ({sizes}); {cure}, then go on, with "
        f"nothing lost: raytune-pipe resume {shlex.quote(str(run))}"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _free_bytes(path: Path) -> int:
    for folder in path.absolute().parents:
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def _count_bytes(write: Callable[[BinaryIO], object]) -> int | None:
    """How many bytes it writes; None where it fails without a disk too."""
    counter = _Counter()
    with suppress(OSError):
        write(counter)  # type: ignore[arg-type]  # raw, but all that a writer needs
        return counter.bytes
    return None


class _Counter(io.RawIOBase):
    """Takes all that is written, and keeps nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]  # whatever has bytes
        self.bytes += size
        return size
