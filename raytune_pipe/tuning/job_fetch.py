"""Bringing the files of a run from where jobs run to this machine, whole or not at all."""

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from raytune_pipe.base import ClusterError, NameTakenError, ResultsError
from raytune_pipe.results.fetched import FETCHED, Fetched, read_fetched, write_fetched
from raytune_pipe.results.files import flush_folder, storage_errors
from raytune_pipe.results.verifying import Verification, verify_run
from raytune_pipe.tuning.job_files import File
from raytune_pipe.tuning.job_python import HeadPython
from raytune_pipe.tuning.job_runs import ask
from raytune_pipe.tuning.jobs import Jobs

PIECE_BYTES = 8 * 2**20
"""Of the files, per helper."""
_MOST_STARTS = 5
"""How often it is begun again where the run has published its tables meanwhile."""
_MOST_TRIES = 3
"""How often one piece is asked for."""

_NAME = re.compile(r"(errors/|checkpoints/[A-Za-z0-9_-]+/)?[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a file of a run is called; nothing of another name is written."""

Heard = Callable[[int, int], None]
"""Hears the bytes that have come, and how many there are in all."""


@dataclass(frozen=True)
class Fetching:
    """What is fetched, and from where."""

    jobs: Jobs
    python: HeadPython
    path: str
    """The run's folder there."""
    with_checkpoints: bool
    heard: Heard = lambda _come, _all: None

    def fetch(self, target: Path) -> Verification:
        """Make a folder with the run's files in it, each as its checksum says.

        A copy of the same run that is there already is replaced.

        Raises:
            NameTakenError: the folder is there, and something else.
            ResultsError: there is no such run, or what came is not as it must be.
            ClusterError: the head does not answer.
        """
        target = target.absolute()
        self._require_free(target)
        scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with storage_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(scratch)
            found = verify_run(scratch)
            if found.problems:
                first = found.problems[0]
                raise ResultsError(
                    f"{self.path}: what was fetched must be as its checksums say, but "
                    f"{first.path}: {first.what}; check it there: raytune-pipe verify {self.path}"
                )
            with storage_errors(target):
                _replace(target, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return found

    def _require_free(self, target: Path) -> None:
        found = read_fetched(target)
        is_ours = found and (found.address, found.path) == (self.jobs.address, self.path)
        if target.exists() and not is_ours:
            raise NameTakenError(
                f"{target}: must be free, or an earlier copy of {self.path}, but is neither; name "
                "another folder: --to DIR"
            )

    def _fetch(self, scratch: Path) -> None:
        for _ in range(_MOST_STARTS):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700)
            if self._fetch_at_once(scratch):
                about = Fetched(self.jobs.address, self.path, self.with_checkpoints)
                write_fetched(scratch, about)
                return
        raise ResultsError(
            f"{self.path}: must stay as it is while it is fetched, but was published anew "
            f"{_MOST_STARTS} times; fetch it when it has ended, or without --checkpoints"
        )

    def _fetch_at_once(self, scratch: Path) -> bool:
        """Fetch all pieces; False where the run was published anew between two of them."""
        files, data = self._piece(0)
        stored = _Stored(scratch, files)
        while True:
            stored.take(data)
            self.heard(stored.come, stored.all)
            if stored.come >= stored.all:
                break
            again, data = self._piece(stored.come)
            if again != files:
                stored.close()
                return False
        stored.close()
        return True

    def _piece(self, skip: int) -> tuple[list[File], bytes]:
        words = [self.path, "--skip", str(skip), "--take", str(PIECE_BYTES)]
        words += ["--checkpoints"] if self.with_checkpoints else []
        for _ in range(_MOST_TRIES):
            told = ask(self.jobs, self.python.module("tuning.job_side", "files", *words))
            data = base64.b64decode(told["data"])
            if hashlib.sha256(data).hexdigest() == told["sha256"]:
                return [_file(one) for one in told["files"]], data
        raise ClusterError(
            f"--address {self.jobs.address}: a piece of {self.path} must come as it was sent, but "
            f"did not in {_MOST_TRIES} tries; fetch it again"
        )


class _Stored:
    """The files of a run, written one after the other from the bytes as they come."""

    def __init__(self, folder: Path, files: list[File]) -> None:
        self.folder = folder
        self.all = sum(file.bytes for file in files)
        self.come = 0
        self._files = iter(files)
        self._file: File | None = None
        self._stream: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._left = 0
        self._next()

    def take(self, data: bytes) -> None:
        """Write the next bytes."""
        self.come += len(data)
        while data and self._stream:
            part, data = data[: self._left], data[self._left :]
            self._stream.write(part)
            self._digest.update(part)
            self._left -= len(part)
            self._next()

    def close(self) -> None:
        """Close the file that is being written."""
        if self._stream:
            self._stream.close()
            self._stream = None

    def _next(self) -> None:
        """Go to the next file where this one is whole; one without bytes is whole at once."""
        while self._left == 0:
            if self._file and self._digest.hexdigest() != self._file.sha256:
                raise ResultsError(
                    f"{self._file.name}: must have the SHA-256 that it had there, but has not; "
                    "fetch it again"
                )
            self._end()
            self._file = next(self._files, None)
            if self._file is None:
                return
            path = self.folder / self._file.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._stream = path.open("xb")
            os.fchmod(self._stream.fileno(), 0o600)
            self._digest, self._left = hashlib.sha256(), self._file.bytes

    def _end(self) -> None:
        if self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self.close()


def _file(told: Any) -> File:
    """A file that the head tells of; its name must be one that a run has."""
    file = File(str(told["name"]), int(told["bytes"]), str(told["sha256"]))
    if not _NAME.fullmatch(file.name) or ".." in file.name or file.name == FETCHED:
        raise ResultsError(f"{file.name!r}: must be the name of a run's file, but is none")
    return file


def _replace(target: Path, scratch: Path) -> None:
    """Put a folder in the place of another one, if there is one."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.replace(old)
    scratch.replace(target)
    flush_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)
