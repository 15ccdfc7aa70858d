"""The files of a run beside its journal and its checkpoints: each is replaced as a whole."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from raytune_pipe.results.bucket_copy import Now, Signature
from raytune_pipe.results.checksums import CHECKSUMS, read_checksums, write_checksums
from raytune_pipe.results.error_files import ERRORS, ErrorFold
from raytune_pipe.results.files import write_atomically, write_errors
from raytune_pipe.results.journal import Journal
from raytune_pipe.results.parquet_files import data_of, write_table
from raytune_pipe.results.run_fold import RunFold
from raytune_pipe.results.status import STATUS, RunState, status_bytes
from raytune_pipe.results.tables import TableFold, Tables

_COPIED = ("experiment.yaml", *(f"{name}.parquet" for name in Tables._fields), STATUS, CHECKSUMS)
"""The files of a run that its bucket has too, beside the journal and the errors."""


class RunFiles:
    """Writes the files of a run, and reads them for its bucket, never while they are replaced.

    ``require_right`` raises where this process may not write any more.
    """

    def __init__(self, folder: Path, require_right: Callable[[], object]) -> None:
        self._folder = folder
        self._require_right = require_right
        self._digests = read_checksums(folder)
        self._writing = threading.RLock()

    def write(self, name: str, data: bytes) -> str:
        """Write a file as a whole; its SHA-256 (hex)."""
        with self._writing:
            return write_atomically(self._folder / name, lambda file: file.write(data))

    def publish(self, fold: RunFold, journal_bytes: int) -> None:
        """Write the tables, the error files and the status of a running run, as of these events."""
        with self._writing:
            for name, table in fold.tables.tables(journal_bytes)._asdict().items():
                file = f"{name}.parquet"
                previous = data_of(self._folder / file, self._digests.get(file))
                write = partial(write_table, table, previous)
                self._digests[file] = write_atomically(self._folder / file, write)
            self._write_errors(fold.errors)
            self.write_status("running", fold.tables, journal_bytes)

    def write_status(
        self,
        state: RunState,
        tables: TableFold,
        journal_bytes: int,
        *,
        exit_code: int | None = None,
        error: str | None = None,
    ) -> None:
        """Say in ``status.json`` how the run stands; then the checksums are up to date."""
        self._require_right()
        data = status_bytes(state, tables.counts(), journal_bytes, exit_code=exit_code, error=error)
        with self._writing:
            self._digests[STATUS] = self.write(STATUS, data)
            write_checksums(self._folder, self._digests)

    def _write_errors(self, errors: ErrorFold) -> None:
        """Write an error file for each attempt that has failed, where there is none."""
        for name, data in errors.take():
            path = self._folder / name
            with write_errors(path, self._folder):
                path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                write_atomically(path, partial(_write_bytes, data), self._folder)

    def look(self, copied: Mapping[str, Signature], *, journal: Journal) -> Now:
        """The folder at one moment, as the thread that copies it to a bucket needs it."""
        with self._writing:
            names = [*_COPIED, *(f"{ERRORS}/{name}" for name in _names(self._folder / ERRORS))]
            found = {name: _signature(self._folder / name) for name in names}
            changed = {
                name: signature
                for name, signature in found.items()
                if signature and signature != copied.get(name)
            }
            files = {name: (self._folder / name).read_bytes() for name in changed}
            return Now(journal.end, files, changed)


def _names(folder: Path) -> list[str]:
    """The files of a folder, but for hidden ones."""
    with suppress(FileNotFoundError):
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    return []


def _signature(path: Path) -> Signature | None:
    """What differs once a file was replaced; None where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def _write_bytes(data: bytes, file: BinaryIO) -> None:
    file.write(data)
