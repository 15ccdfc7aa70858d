"""The files of a run as they stand at one moment, given out in pieces of a bounded size."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from raytune_pipe.base import ResultsError
from raytune_pipe.results.checksums import read_checksums
from raytune_pipe.results.error_files import ERRORS
from raytune_pipe.results.fetched import FETCHED
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.journal import JOURNAL, journal_of
from raytune_pipe.results.lock import is_held
from raytune_pipe.results.published import PUBLISHED
from raytune_pipe.results.run_directory import CHECKPOINTS
from raytune_pipe.results.status import read_status

_LOOKS = 10
"""At a run that goes on: its tables, their checksums and its status must be of one moment."""
BETWEEN_LOOKS_S = 0.3
"""Seconds between two of these looks."""
_BLOCK = 2**20


class File(NamedTuple):
    """One file of a snapshot."""

    name: str
    """Relative to the run's folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """Files of a run that fit together."""

    folder: Path
    files: tuple[File, ...]

    @classmethod
    def of(cls, folder: Path, *, with_checkpoints: bool) -> Self:
        """The run as it was last published; of the journal what the tables tell of.

        Raises:
            ResultsError: the folder is not a run's, or nothing is published yet.
        """
        journal_of(folder)
        for look in range(_LOOKS):
            with storage_errors(folder):
                found = _look(folder, with_checkpoints=with_checkpoints)
            if found is not None:
                return cls(folder, found)
            if look < _LOOKS - 1:
                time.sleep(BETWEEN_LOOKS_S)
        raise ResultsError(
            f"{folder}: must have published tables that fit their checksums, but has not; "
            + (
                "try again in a few seconds"
                if is_held(folder)
                else f"mend them there: raytune-pipe verify {folder} --repair"
            )
        )

    def piece(self, skip: int, take: int) -> bytes:
        """Bytes of all files, one after the other, from ``skip`` on."""
        found, begin = bytearray(), 0
        for file in self.files:
            end = begin + file.bytes
            if begin < skip + take and end > skip:
                first = max(skip - begin, 0)
                path = self.folder / file.name
                with storage_errors(path), path.open("rb") as stream:
                    stream.seek(first)
                    found += stream.read(min(end, skip + take) - begin - first)
            begin = end
        return bytes(found)


def _look(folder: Path, *, with_checkpoints: bool) -> tuple[File, ...] | None:
    """All files; None where some are of another moment than others."""
    digests, status = read_checksums(folder), read_status(folder)
    if status is None or not all(name in digests for name in PUBLISHED):
        return None
    files = [_file(folder, name, None) for name in _names(folder, with_checkpoints)]
    files = [file for file in files if file.name != JOURNAL]
    files.append(_file(folder, JOURNAL, status.journal_bytes))
    found = {file.name: file.sha256 for file in files}
    if any(found.get(name) != digest for name, digest in digests.items()):
        return None
    return tuple(files) if read_checksums(folder) == digests else None


def _names(folder: Path, with_checkpoints: bool) -> Iterator[str]:
    """The names of a run's files; none that is hidden, since those are being written."""
    inside = ["*", f"{ERRORS}/*", *([f"{CHECKPOINTS}/*/*"] if with_checkpoints else [])]
    for pattern in inside:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and not path.name.startswith(".") and path.name != FETCHED:
                yield str(path.relative_to(folder))


def _file(folder: Path, name: str, length: int | None) -> File:
    """A file's length and hash, or those of its first bytes."""
    digest, left = hashlib.sha256(), (folder / name).stat().st_size if length is None else length
    size = left
    with (folder / name).open("rb") as stream:
        while left and (block := stream.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
    return File(name, size - left, digest.hexdigest())
