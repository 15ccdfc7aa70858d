"""The folder of one run: a name that is taken once, the journal, and what is derived from it."""

import re
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from raytune_pipe.base import ResultsError
from raytune_pipe.results.bucket_copy import BucketCopy
from raytune_pipe.results.bucket_runs import catch_up, free_uri
from raytune_pipe.results.events import Event, FileEvent
from raytune_pipe.results.files import digest_of, leftovers, storage_errors, write_errors
from raytune_pipe.results.journal import JOURNAL, Journal, journal_of, read_events
from raytune_pipe.results.locations import is_uri, local_folder, mark, take_window, uri_of
from raytune_pipe.results.lock import Lock, take_lock
from raytune_pipe.results.run_files import RunFiles
from raytune_pipe.results.run_fold import RunFold
from raytune_pipe.results.run_names import make_folder, require_name
from raytune_pipe.results.status import RunState, require_whole_journal

CHECKPOINTS = "checkpoints"

_TRIAL_ID = re.compile(r"[A-Za-z0-9_-]+")


class RunDirectory:
    """The one writer of a run's folder, from `claim` to `close`."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        journal: Callable[..., Journal],
        bucket: BucketCopy | None = None,
    ) -> None:
        self.path = path
        """The folder of the run, absolute; the driver's side of it where it is in a bucket."""
        self.bucket = bucket
        """The bucket's side; None where the folder is all."""
        self.window = take_window(path) if bucket else None
        """What was lost with the disk of the driver before; None where nothing was."""
        self.checkpoints = path / CHECKPOINTS
        """Where trials write their checkpoints, each in a folder of its own."""
        self._lock = lock
        self._fold = RunFold()
        self._files = RunFiles(path, self._require_held)
        self._published = 0
        self._made_storage = False
        self.journal = journal(path / JOURNAL, self._note)
        """What is appended here is on disk when the append returns."""
        self.journal.require_right = self._require_held

    @property
    def location(self) -> str:
        """Where workers on any node find the run: its folder, or its URI."""
        return self.bucket.store.uri if self.bucket else str(self.path)

    def _require_held(self) -> None:
        self._lock.require_held()
        if self.bucket:
            self.bucket.require_held()

    @classmethod
    def claim(
        cls, storage: Path | str, name: str, new: bool = False, *, launched: bool = True
    ) -> Self:
        """Take a name in a storage, a folder or a URI, for a new run.

        With ``new``, a name that is taken gives the first free of ``name-2``, ``name-3``, ...
        What is not ``launched`` but imported cannot go on with the run that has its name.

        Raises:
            ConfigError: the name is not fit for a folder.
            NameTakenError: the name is taken.
            ResultsError: the storage cannot be written.
        """
        require_name(name)
        if is_uri(str(storage)):
            return cls._claim_in_bucket(str(storage), name, new)
        storage = Path(storage).absolute()
        with storage_errors(storage):
            made_storage = not storage.exists()
            storage.mkdir(parents=True, exist_ok=True)
        path = make_folder(storage, name, new, launched)
        lock: Lock | None = None
        try:
            lock = take_lock(path)
            with storage_errors(path):
                (path / CHECKPOINTS).mkdir(mode=0o700)
            run = cls(path, lock, Journal.create)
            run._made_storage = made_storage
            return run
        except ResultsError:
            if lock:
                lock.release()
            shutil.rmtree(path, ignore_errors=True)
            raise

    @classmethod
    def _claim_in_bucket(cls, storage: str, name: str, new: bool) -> Self:
        """Take a name beneath a URI, and the folder on this disk that belongs to it."""
        uri = free_uri(storage, name, new)
        path = local_folder(uri)
        run = cls.claim(path.parent, path.name, launched=True)
        try:
            mark(path, uri)
            run.bucket = BucketCopy.take(uri, path)
            if run.bucket.manifest.segments:  # another driver was faster
                free_uri(storage, name, new=False)
            return run
        except BaseException:
            run.discard()
            run.close()
            raise

    @classmethod
    def reopen(cls, path: Path, *, steal_lock: bool = False) -> Self:
        """Go on with a run that another process has left; a torn tail of its journal is cut off.

        With ``steal_lock``, also where a process on another host holds it which cannot be asked.

        Raises:
            NameTakenError: a process still holds it.
            ResultsError: there is no run, or its journal is damaged or has lost its end.
        """
        path = path.absolute()
        journal_of(path)
        lock = take_lock(path, steal=steal_lock)
        bucket: BucketCopy | None = None
        try:
            require_whole_journal(path)
            with storage_errors(path):
                (path / CHECKPOINTS).mkdir(mode=0o700, exist_ok=True)
            if uri := uri_of(path):
                bucket = BucketCopy.take(uri, path, steal=steal_lock)
                catch_up(path, bucket.store, bucket.manifest)
            return cls(path, lock, Journal.open, bucket)
        except BaseException:
            if bucket:
                bucket.close()
            lock.release()
            raise

    def begin_copying(self, sync_seconds: float) -> None:
        """Bring the bucket, if the run is in one, up to the run, now and from now on.

        Raises:
            ResultsError: it cannot be done now.
        """
        self._catch_up()
        if self.bucket:
            self.bucket.begin(sync_seconds, partial(self._files.look, journal=self.journal))

    def finish_copying(self) -> None:
        """Bring the bucket, if the run is in one, up to the run's end; raises likewise."""
        if self.bucket:
            self.bucket.finish()

    def _note(self, event: Event) -> None:
        _require_inside(event, self.path)
        self._fold.add(event)

    def _catch_up(self) -> None:
        """Read the journal again if an interrupt (Ctrl-C) kept an event from being noted."""
        if self._fold.tables.number != self.journal.number:
            self._fold = RunFold()
            for event in islice(read_events(self.journal.path), self.journal.number):
                self._note(event)

    def write_file(self, name: str, text: str) -> None:
        """Write a file of the run as a whole; its hash goes into the journal."""
        data = text.encode()
        digest = self._files.write(name, data)
        self.journal.append(FileEvent(event="file", path=name, sha256=digest, bytes=len(data)))

    def write_status(
        self, state: RunState, *, exit_code: int | None = None, error: str | None = None
    ) -> None:
        """Say in ``status.json`` how the run stands."""
        tables, journal_bytes = self._fold.tables, self.journal.offset
        self._files.write_status(state, tables, journal_bytes, exit_code=exit_code, error=error)

    def publish(self) -> None:
        """Bring the Parquet tables and the status of a running run up to the journal.

        Each file is replaced as a whole, one after the other; `read_results` sees where they are
        not of one moment. Does nothing before the journal has an experiment, or when there is
        nothing new.
        """
        self._require_held()
        self._catch_up()
        number = self.journal.number
        if self._fold.tables.experiment is None or number == self._published:
            return
        self._files.publish(self._fold, self.journal.offset)
        self._published = number

    def rebuild(self) -> None:
        """Write the tables and the status anew, as the journal tells of a run that was left."""
        self.publish()
        end = self._fold.finish
        if end is None:
            self.write_status("interrupted")
        else:
            self.write_status(end["state"], exit_code=end["exit_code"], error=end["error"])

    def collect_garbage(self, keep: Collection[str] = ()) -> None:
        """Delete the checkpoints that nothing refers to any more, see `checkpoints.unneeded`.

        A file that no report in the journal has named yet is left alone, and so are the paths to
        ``keep``: those that a later decision may still name.
        """
        self._require_held()
        self._catch_up()
        for name in self._fold.checkpoints.unneeded(keep):
            self._delete_checkpoint(name)
            self._fold.checkpoints.forget(name)

    def _delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint; one in a bucket once the journal there needs it no more."""
        if self.bucket:
            self.bucket.delete_later(name, self.journal.number)
            return
        with write_errors(self.path / name, self.path):
            (self.path / name).unlink(missing_ok=True)

    def has_checkpoint(self, name: str, sha256: str) -> bool:
        """Whether a checkpoint is there with just the bytes that were reported."""
        if self.bucket is None:
            return digest_of(self.path / name) == sha256
        return self.bucket.store.digest(name) == sha256

    def likely_has_checkpoint(self, name: str, sha256: str) -> bool:
        """Likewise, but for one in a bucket, whose key holds its hash, its bytes are not fetched.

        The worker that starts from it looks at them.
        """
        if self.bucket is None:
            return self.has_checkpoint(name, sha256)
        return self.bucket.store.exists(name)

    def troubles(self) -> list[str]:
        """What there is to tell of copies to the bucket that failed, each once."""
        return self.bucket.take_told() if self.bucket else []

    def clear_away_strays(self) -> None:
        """Delete what killed processes left: half-written files, checkpoints that no report names.

        Only while no worker trains: its next checkpoint is there before its report.
        """
        self._require_held()
        self._catch_up()
        for name in leftovers(self.path):
            with write_errors(self.path / name, self.path):
                (self.path / name).unlink(missing_ok=True)
        local = (str(file.relative_to(self.path)) for file in self.checkpoints.glob("*/[!.]*"))
        found = self.bucket.checkpoints() if self.bucket else local
        for name in {*found} - {*self._fold.checkpoints.paths}:
            self._delete_checkpoint(name)

    def discard(self) -> None:
        """Delete the run's folder, so that its name is free again: nothing has run in it."""
        self._require_held()
        if self.bucket:
            self.bucket.discard()
        shutil.rmtree(self.path)
        if self._made_storage:
            with suppress(OSError):  # another run may have come into it
                self.path.parent.rmdir()

    @property
    def took_over(self) -> str | None:
        """Who held the run before, and why it counts as gone; None where it was let go."""
        if self._lock.took_over is None and self.bucket:
            return self.bucket.lease.took_over
        return self._lock.took_over

    def close(self) -> None:
        """Let the run go."""
        self.journal.close()
        if self.bucket:
            self.bucket.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _require_inside(event: Event, path: Path) -> None:
    """Raise `ResultsError` where an event names files that lie outside of the run.

    Error files are written and checkpoints deleted under the names that a journal has, and a run's
    folder may come from anybody.
    """
    trial_id = event.get("trial_id", "0")
    checkpoint = event["checkpoint"] if event["event"] == "report" else None
    file = checkpoint["path"] if checkpoint else CHECKPOINTS
    parts = file.split("/")  # for each of a million events: no path is made
    if not _TRIAL_ID.fullmatch(str(trial_id)) or parts[0] != CHECKPOINTS or ".." in parts:
        raise ResultsError(
            f"{path / JOURNAL}: must name files of its own run alone, but trial {trial_id!r} has "
            f"{file!r}: it was made by hand; do not go on with it"
        )
