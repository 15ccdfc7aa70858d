"""A run in a bucket and its folder on this disk: which is ahead, and bringing one to the other."""

import hashlib
import os
import shlex
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from raytune_pipe.base import NameTakenError, ResultsError
from raytune_pipe.results.files import flush_folder, storage_errors, write_atomically
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.locations import copy_of, local_folder, mark, note_fetched, uri_of
from raytune_pipe.results.manifest import Manifest, Segment, Stored, read_manifest
from raytune_pipe.results.object_store import ObjectStore


def free_uri(storage: str, name: str, new: bool) -> str:
    """The URI of a new run beneath a storage; with ``new`` the first free one of its kin.

    Raises:
        NameTakenError: the name is taken there.
        StoreError: the storage is out of reach.
    """
    number = 1
    while True:
        uri = f"{storage}/{name if number == 1 else f'{name}-{number}'}"
        is_taken = read_manifest(ObjectStore(uri)) is not None
        if not is_taken and not (new and local_folder(uri).exists()):
            return uri
        if not new:
            raise NameTakenError(
                f"{uri}: the name must be free, but it is taken; go on with that run: raytune-pipe"
                f" resume {shlex.quote(uri)}, or choose another name: --name NAME, or take the next"
                " free one: --new"
            )
        number += 1


def fetch_run(uri: str) -> Path:
    """The folder on this disk for the run at a URI; made from the bucket where it is not there.

    Raises:
        ResultsError: there is no such run, or what the bucket has of it is damaged.
    """
    folder = local_folder(uri)
    if (folder / JOURNAL).is_file():
        return folder
    store = ObjectStore(uri)
    manifest = _required_manifest(store)
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        with storage_errors(made):
            _write_run(store, manifest, made)
            note_fetched(made, uri, window_of(made, manifest))
            made.rename(folder)
            flush_folder(folder.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


@contextmanager
def copied_run(uri: str) -> Iterator[Path]:
    """A folder to read the run at a URI from, deleted at the end; checkpoints are not in it.

    Raises:
        ResultsError: as `fetch_run`.
    """
    with tempfile.TemporaryDirectory(prefix=_COPY) as parent:
        yield _copy(uri, Path(parent))


def kept_copy(uri: str) -> Path:
    """Likewise, deleted when this process ends."""
    parent = tempfile.TemporaryDirectory(prefix=_COPY, ignore_cleanup_errors=True)
    _kept.append(parent)  # it is deleted with this object
    return _copy(uri, Path(parent.name))


_COPY = "raytune-pipe-copy-"
_kept: list[tempfile.TemporaryDirectory[str]] = []


def _copy(uri: str, parent: Path) -> Path:
    store = ObjectStore(uri)
    folder = parent / uri.rpartition("/")[2]
    folder.mkdir()
    _write_run(store, _required_manifest(store), folder)
    mark(folder, uri, is_copy=True)
    return folder


def refresh_copy(folder: Path) -> None:
    """Bring the journal of a copy up to what the bucket now has; nothing for any other folder.

    Raises:
        ResultsError: as `fetch_run`.
    """
    uri = copy_of(folder)
    if uri:
        store = ObjectStore(uri)
        catch_up(folder, store, _required_manifest(store))


def location_of(path: Path) -> str:
    """Where a checkpoint of a run lies for people: its path, or its URI if it is in a bucket."""
    folder = path.parents[2]
    uri = uri_of(folder)
    return f"{uri}/{path.relative_to(folder)}" if uri else str(path)


def provide_checkpoint(path: Path) -> None:
    """Have a checkpoint of a run lie where its path says, fetched if the run is in a bucket.

    Raises:
        StoreError: the bucket is out of reach.
    """
    folder = path.parents[2]
    uri = uri_of(folder)
    if uri and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ObjectStore(uri).get_file(str(path.relative_to(folder)), path)


def catch_up(folder: Path, store: ObjectStore, manifest: Manifest) -> None:
    """Have the folder's journal hold all that the bucket's has; the locks of both are held.

    Raises:
        ResultsError: each holds events that the other has not.
    """
    journal = folder / JOURNAL
    with storage_errors(journal), journal.open("r+b") as file:
        whole_bytes = _whole_bytes(file)
        offset = 0
        for segment in manifest.segments:
            have = min(segment.bytes, max(0, whole_bytes - offset))
            file.seek(offset)
            mine = file.read(have)
            if have < segment.bytes or hashlib.sha256(mine).hexdigest() != segment.sha256:
                data = fetched(store, segment)
                if data[:have] != mine:
                    raise _diverged(folder, store, manifest)
                file.seek(offset)
                file.write(data)
                file.truncate()
            offset += segment.bytes
        file.flush()
        os.fsync(file.fileno())


def has_run(uri: str) -> bool:
    """Whether the bucket has a run of this URI."""
    return read_manifest(ObjectStore(uri)) is not None


def damaged_parts(uri: str) -> tuple[int, dict[str, str]]:
    """How many objects a run in a bucket has beside checkpoints; what is wrong with which.

    Raises:
        ResultsError: there is no such run, or its manifest is damaged.
    """
    store, problems = ObjectStore(uri), dict[str, str]()
    manifest = _required_manifest(store)
    parts: list[Segment | Stored] = [*manifest.segments, *manifest.files.values()]
    for part in parts:
        found = store.digest(part.key)
        if found != part.sha256:
            has = "there is none" if found is None else f"it has {found}"
            problems[part.key] = f"must have the SHA-256 {part.sha256}, but {has}"
    return len(parts), problems


def is_bucket_behind(folder: Path) -> bool:
    """Whether a run is in a bucket that does not have all of the folder's journal."""
    uri = uri_of(folder)
    if uri is None:
        return False
    manifest = read_manifest(ObjectStore(uri)) or Manifest()
    return manifest.journal_bytes < (folder / JOURNAL).stat().st_size


def fetched(store: ObjectStore, part: Segment | Stored) -> bytes:
    """An object that a manifest names; raises `ResultsError` unless it is as the manifest says."""
    data = store.get(part.key)
    if data is not None and hashlib.sha256(data).hexdigest() == part.sha256:
        return data
    found = "there is none" if data is None else "it has another"
    raise ResultsError(
        f"{store.uri}/{part.key}: the object must be there with the SHA-256 {part.sha256}, but"
        f" {found}: the bucket is damaged; restore that object, or go on from the folder of the"
        " driver, if that is left"
    )


def window_of(folder: Path, manifest: Manifest) -> str | None:
    """What may be lost with the disk of the driver that wrote the bucket; None where nothing is."""
    (last,) = deque(read_events(folder / JOURNAL), maxlen=1) or (None,)
    if last is not None and last["event"] == "finish":
        return None
    when = datetime.fromtimestamp(manifest.time, UTC).isoformat(" ", "seconds")
    return (
        f"{manifest.events:,} events were in the bucket, copied at {when}; what came after, in at"
        f" most {manifest.sync_seconds:g} s and the time of a copy while the bucket answered, is"
        " lost with the driver's disk, and those epochs are trained again"
    )


def _required_manifest(store: ObjectStore) -> Manifest:
    manifest = read_manifest(store)
    if manifest is None or not manifest.segments:
        raise ResultsError(
            f"{store.uri}: must be a run, but the bucket has none there; name the run beneath the"
            " storage, such as s3://BUCKET/PREFIX/NAME"
        )
    return manifest


def _write_run(store: ObjectStore, manifest: Manifest, folder: Path) -> None:
    """Write the journal and the files that a manifest names, all of which must fit it."""
    with (folder / JOURNAL).open("wb") as file:
        for segment in manifest.segments:
            file.write(fetched(store, segment))
        file.flush()
        os.fsync(file.fileno())
    (folder / JOURNAL).chmod(0o600)
    events = read_events(folder / JOURNAL)
    for _ in events:  # raises where the chain of checksums is broken
        pass
    if (events.number, events.checksum) != (manifest.events, manifest.checksum):
        raise ResultsError(
            f"{store.uri}: the segments must make a journal of {manifest.events:,} events, but they"
            f" make one of {events.number:,}, or another one: the bucket is damaged"
        )
    for name, stored in manifest.files.items():
        data = fetched(store, stored)
        path = folder / name
        if ".." in path.parts or not path.is_relative_to(folder):
            raise ResultsError(f"{store.uri}: must name files of its own run, but has {name!r}")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, lambda file, data=data: file.write(data))  # type: ignore[misc]  # bound


def _whole_bytes(file: BinaryIO) -> int:
    """Where the last line of a journal ends; what comes after it is torn."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _diverged(folder: Path, store: ObjectStore, manifest: Manifest) -> ResultsError:
    with suppress(ResultsError):
        mine = sum(1 for _ in read_events(folder / JOURNAL))
        return ResultsError(
            f"{folder}: must be the run that is in the bucket, but both were gone on with: this"
            f" folder has {mine:,} events and {store.uri} has {manifest.events:,}, and they differ;"
            " to go on with what is in the bucket, move the folder away, such as: mv"
            f" {shlex.quote(str(folder))} {shlex.quote(str(folder))}.old, then raytune-pipe resume"
            f" {shlex.quote(store.uri)}"
        )
    return ResultsError(f"{folder / JOURNAL}: is damaged; check it: raytune-pipe verify {folder}")
