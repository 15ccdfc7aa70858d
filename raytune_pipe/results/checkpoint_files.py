"""Where a worker writes its checkpoints and finds those to start from: a folder, or a bucket."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from raytune_pipe.results.control import STOP_KEY, is_stop_requested
from raytune_pipe.results.locations import is_uri
from raytune_pipe.results.object_store import ObjectStore, StoreError, with_patience
from raytune_pipe.results.scratch import scratch_folders, scratch_prefix, sweep_scratch

PATIENCE_S = 60.0
"""Seconds for which a worker tries to reach a bucket before its run ends as it cannot be stored."""
LOOK_EVERY_S = 2.0
"""Seconds between two looks for the request to stop, each of which is a request to the bucket."""
KEPT_FILES = 2
"""Checkpoints that a worker process keeps beside it, so that those on its node need not fetch."""

_SCRATCH = "raytune-pipe-checkpoints-"
"""What the names of the workers' scratch folders begin with; the process id comes next."""


class FolderFiles:
    """A run directory that every worker sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_to_write(self, name: str) -> Path:
        """Where a checkpoint of this name is to be written."""
        return self._folder / name

    def keep(self, name: str, sha256: str) -> str:
        """Take what was written there; the name by which it is to be reported."""
        return name

    def path_to_read(self, name: str, sha256: str) -> Path:
        """Where a checkpoint lies, if it does; its bytes are not looked at."""
        return self._folder / name

    def is_stop_requested(self) -> bool:
        """Whether the run is to end."""
        return is_stop_requested(self._folder)


class BucketFiles:
    """A run whose checkpoints are objects; files pass through a scratch folder of the process.

    A key holds the beginning of its content's hash, so that no process ever replaces what another
    one has reported, even one that outlived its driver.
    """

    def __init__(self, uri: str) -> None:
        self._store = ObjectStore(uri)
        self._kept: list[Path] = []
        self._looked_at = 0.0
        self._is_stop_requested = False
        sweep_kept_checkpoints()
        self._scratch = tempfile.TemporaryDirectory(
            prefix=scratch_prefix(_SCRATCH), ignore_cleanup_errors=True
        )

    def path_to_write(self, name: str) -> Path:
        """Where a checkpoint of this name is to be written."""
        return Path(self._scratch.name) / name

    def keep(self, name: str, sha256: str) -> str:
        """Upload what was written there; the name by which it is to be reported.

        Raises:
            StoreError: the bucket cannot be reached, for longer than a worker waits for it.
        """
        written = self.path_to_write(name)
        key = f"{name.removesuffix('.pt')}-{sha256[:12]}.pt"
        try:
            with_patience(lambda: self._store.put_file(key, written), PATIENCE_S)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        self._remember(written.replace(self._cached(sha256)))
        return key

    def path_to_read(self, name: str, sha256: str) -> Path:
        """Where a checkpoint lies once it is fetched, if there is such an object.

        One that another process of this node has kept need not be fetched. Its bytes are not
        looked at.

        Raises:
            StoreError: as `keep`.
        """
        path = self._cached(sha256)
        if not path.exists():
            for other in _scratch_folders():
                with suppress(OSError):  # deleted just now, or another user's
                    path.hardlink_to(other / path.name)
                    break
            else:
                with_patience(lambda: self._store.get_file(name, path), PATIENCE_S)
        if path.exists():
            self._remember(path)
        return path

    def is_stop_requested(self) -> bool:
        """Whether the run is to end, as of the last look; out of reach, nothing is asked."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            with suppress(StoreError):
                self._is_stop_requested = self._store.exists(STOP_KEY)
            self._looked_at = time.monotonic()
        return self._is_stop_requested

    def _cached(self, sha256: str) -> Path:
        return Path(self._scratch.name) / f"{sha256}.pt"

    def _remember(self, path: Path) -> None:
        """Keep this file and the one used before it, and no other."""
        self._kept = [*(one for one in self._kept if one != path), path]
        while len(self._kept) > KEPT_FILES:
            self._kept.pop(0).unlink(missing_ok=True)


@cache
def checkpoint_files(location: str) -> FolderFiles | BucketFiles:
    """Those of the run in this folder or at this URI, one object for all trials of a process."""
    return BucketFiles(location) if is_uri(location) else FolderFiles(Path(location))


def sweep_kept_checkpoints() -> None:
    """Delete what workers that are gone have kept on this node."""
    sweep_scratch(Path(tempfile.gettempdir()), _SCRATCH)


def _scratch_folders() -> Iterator[Path]:
    return scratch_folders(Path(tempfile.gettempdir()), _SCRATCH)
