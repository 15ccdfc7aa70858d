"""The bucket's side of a run: its lease, and a thread that keeps it up to the driver's folder.

The driver's own loop never waits for the bucket: it appends to the journal on its disk, and the
thread copies. Only the first copy, before any trial starts, and the last one are waited for.
"""

import shlex
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raytune_pipe.base import NameTakenError, ResultsError
from raytune_pipe.results.control import STOP, STOP_KEY
from raytune_pipe.results.journal import JOURNAL, JournalEnd
from raytune_pipe.results.lease import LEASE, Lease, take_lease
from raytune_pipe.results.manifest import Manifest, read_manifest
from raytune_pipe.results.mirror import Mirror
from raytune_pipe.results.object_store import ObjectStore, StoreRefusedError, with_patience

RENEW_EVERY_S = 10.0
"""Seconds between two renewals of the lease where nothing is copied yet."""
LONGEST_WAIT_S = 60.0
"""Between two copies, while the bucket is out of reach."""
LAST_PATIENCE_S = 30.0
"""Seconds for which the last copy is tried while the bucket is out of reach."""
SHORT_PATIENCE_S = 5.0
"""Likewise where it was out of reach before."""
TURN_S = 0.25
"""Seconds between two looks for a request to stop, which is passed on to workers anywhere."""


Signature = tuple[int, ...]
"""What differs once a file was replaced."""


class Now(NamedTuple):
    """A run's folder at one moment."""

    end: JournalEnd
    files: Mapping[str, bytes]
    """Those that have changed since the last copy, by path."""
    signatures: Mapping[str, Signature]
    """What will tell whether they have changed since this one."""


class BucketCopy:
    """A run in a bucket, held by this driver from `take` to `close`.

    Raises:
        NameTakenError: another driver holds the run.
        StoreError: the bucket is out of reach, or refuses.
    """

    def __init__(self, store: ObjectStore, folder: Path, lease: Lease, manifest: Manifest) -> None:
        self.store = store
        self.lease = lease
        self._folder = folder
        self._mirror = Mirror(store, folder / JOURNAL, manifest)
        self._copied: dict[str, Signature] = {}
        self._look: Callable[[Mapping[str, Signature]], Now] | None = None
        self._sync_seconds = RENEW_EVERY_S
        self._due = time.monotonic() + RENEW_EVERY_S
        self._lost: str | None = None
        self._failing: str | None = None
        self._told: list[str] = []
        self._is_stop_passed_on = False
        self._closing = threading.Event()
        self._copying = threading.Lock()
        self._thread = threading.Thread(target=self._keep_up, name="bucket copy", daemon=True)
        self._thread.start()

    @classmethod
    def take(cls, uri: str, folder: Path, *, steal: bool = False) -> "BucketCopy":
        """Hold the run at a URI, whose driver's side is this folder, as it is in the bucket."""
        store = ObjectStore(uri)
        lease = take_lease(store, steal=steal)
        try:
            return cls(store, folder, lease, read_manifest(store) or Manifest())
        except BaseException:
            with suppress(ResultsError):
                lease.release()
            raise

    @property
    def manifest(self) -> Manifest:
        """What the bucket has."""
        return self._mirror.manifest

    def begin(self, sync_seconds: float, look: Callable[[Mapping[str, Signature]], Now]) -> None:
        """Copy all there is, and from now on every so many seconds what has come since.

        Raises:
            StoreError: the first copy fails.
        """
        self.store.delete(STOP_KEY)  # one that came too late for the driver before
        self._mirror.sweep()
        self._sync_seconds, self._look = sync_seconds, look
        self._copy()
        self._due = time.monotonic() + sync_seconds

    def finish(self) -> None:
        """Copy all there is, and wait for it.

        Raises:
            StoreError: it cannot be done; says where all is.
        """
        patience_s = SHORT_PATIENCE_S if self._failing else LAST_PATIENCE_S
        try:
            with_patience(self._copy, patience_s, first_wait_s=1.0)
            self.store.delete(STOP_KEY)
        except ResultsError as error:
            raise type(error)(
                f"{self.store.uri}: must hold the whole run, but holds {self.manifest.events:,} of"
                f" its events: {error}; nothing is lost, all is in {self._folder}; once the storage"
                f" answers, bring it up: raytune-pipe resume {shlex.quote(str(self._folder))}"
            ) from error

    def require_held(self) -> None:
        """Raise `NameTakenError` where another driver has taken the run over."""
        if self._lost:
            raise NameTakenError(self._lost)

    def take_told(self) -> list[str]:
        """What there is to tell of copies that failed, each once."""
        told, self._told = self._told, []
        return told

    def delete_later(self, checkpoint: str, number: int) -> None:
        """Delete a checkpoint once the bucket has ``number`` events, after which none needs it."""
        self._mirror.delete_later(checkpoint, number)

    def checkpoints(self) -> list[str]:
        """The checkpoints in the bucket, by path in the run."""
        return self.store.keys("checkpoints")

    def discard(self) -> None:
        """Delete the run from the bucket."""
        self._stop_thread()
        self.store.delete_all()

    def close(self) -> None:
        """Let the run go; a bucket out of reach finds the lease stale after a while."""
        self._stop_thread()
        with suppress(ResultsError, NameTakenError):
            if self.store.exists(LEASE):
                self.lease.release()

    def _stop_thread(self) -> None:
        self._closing.set()
        self._thread.join()

    def _copy(self) -> None:
        """Renew the lease and, once begun, bring the bucket up to the folder."""
        with self._copying:
            self.lease.renew()
            if self._look is None:
                return
            now = self._look(self._copied)
            self._mirror.copy(
                now.end, now.files, token=self.lease.token, sync_seconds=self._sync_seconds
            )
            self._copied.update(now.signatures)

    def _keep_up(self) -> None:
        """Until closed: copy, and pass requests to stop on; wait longer where it fails."""
        wait_s = 0.0
        while not self._closing.wait(min(TURN_S, self._sync_seconds)):
            with suppress(ResultsError):
                self._pass_stop_on()
            if time.monotonic() < self._due:
                continue
            try:
                self._copy()
                if self._look:
                    self._hear_of_stop()
            except NameTakenError as error:
                self._lost = str(error)
                return
            except (ResultsError, OSError) as error:
                wait_s = min(2 * wait_s or self._sync_seconds, LONGEST_WAIT_S)
                self._note_failure(error)
            else:
                wait_s = 0.0
                self._note_success()
            self._due = time.monotonic() + (wait_s or self._sync_seconds)

    def _note_failure(self, error: Exception) -> None:
        if self._failing is None:
            refused = isinstance(error, StoreRefusedError)
            again = "" if refused else "; it is tried again"
            self._failing = str(error)
            self._told.append(f"the run could not be copied to its bucket{again}: {error}")

    def _note_success(self) -> None:
        if self._failing is not None:
            self._failing = None
            self._told.append("the run is copied to its bucket again")

    def _pass_stop_on(self) -> None:
        """Have workers that do not see the folder save what they have, once it is asked to end."""
        if not self._is_stop_passed_on and (self._folder / STOP).exists():
            self.store.put(STOP_KEY, b"")
            self._is_stop_passed_on = True

    def _hear_of_stop(self) -> None:
        """Have the driver end, where somebody has asked for it in the bucket."""
        if not self._is_stop_passed_on and self.store.exists(STOP_KEY):
            self._is_stop_passed_on = True
            (self._folder / STOP).touch(mode=0o600)
