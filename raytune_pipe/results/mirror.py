"""Copying a run's folder to its bucket, so that at every instant the bucket holds a whole run.

First come the new lines of the journal as a segment, then the files that have changed, each under
a key of its own; last the manifest that names them. A copy that ends anywhere in between leaves
the manifest of before, and objects that nothing names.
"""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from raytune_pipe.results.journal import JournalEnd
from raytune_pipe.results.manifest import MANIFEST, Manifest, Segment, Stored
from raytune_pipe.results.object_store import ObjectStore

MOST_SEGMENTS = 64
"""With more, the small ones at the end are copied anew as one, so that manifests stay short."""
LARGE_BYTES = 16 * 1024**2
"""A segment that stays as it is."""


class Mirror:
    """What the bucket holds of a run, and the steps that bring it up to the folder."""

    def __init__(self, store: ObjectStore, journal: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        """As the bucket has it."""
        self._store = store
        self._journal = journal
        self._unneeded: dict[str, int] = {}
        """Checkpoints to be deleted, with the event after which nothing needs them."""

    def delete_later(self, checkpoint: str, number: int) -> None:
        """Delete a checkpoint once the bucket's own journal says that nothing needs it."""
        self._unneeded[checkpoint] = number

    def copy(
        self,
        end: JournalEnd,
        files: Mapping[str, bytes],
        *,
        token: int = 0,
        sync_seconds: float = 0.0,
    ) -> None:
        """Bring the bucket up to the journal's ``end`` and to these files, by path in the folder.

        Raises:
            StoreError: the bucket holds what the manifest of before names, and is as good.
        """
        segments = self._segments(end)
        stored = {
            **self.manifest.files,
            **{name: _stored(name, data) for name, data in files.items()},
        }
        if segments != self.manifest.segments or stored != self.manifest.files:
            known = self.manifest.keys
            for name, data in files.items():
                if stored[name].key not in known:
                    self._store.put(stored[name].key, data)
            after = Manifest(
                segments=segments,
                files=stored,
                checksum=end.checksum,
                token=token,
                sync_seconds=sync_seconds,
                time=time.time(),
            )
            self._replace(after)
        self._delete_unneeded()

    def _replace(self, after: Manifest) -> None:
        """Put the new manifest, and only then delete what neither it nor the last one names."""
        before = self.manifest
        retired = tuple(sorted(before.keys - after.keys))
        after = Manifest(**{**vars(after), "retired": retired})
        self._store.put(MANIFEST, after.to_bytes())
        self.manifest = after
        for key in before.retired:
            if key not in after.keys:
                self._store.delete(key)

    def _segments(self, end: JournalEnd) -> tuple[Segment, ...]:
        """Those of the manifest and, uploaded, the one that reaches to the journal's end."""
        kept = list(self.manifest.segments)
        if end.number == self.manifest.events:
            return tuple(kept)
        if len(kept) >= MOST_SEGMENTS:
            while kept and kept[-1].bytes < LARGE_BYTES:
                kept.pop()
        first = kept[-1].last + 1 if kept else 1
        offset = sum(segment.bytes for segment in kept)
        with self._journal.open("rb") as file:
            file.seek(offset)
            data = file.read(end.offset - offset)
        digest = hashlib.sha256(data).hexdigest()
        key = f"journal/{first:010d}-{end.number:010d}-{digest[:16]}.jsonl"
        self._store.put(key, data)
        return (*kept, Segment(key, first, end.number, len(data), digest))

    def sweep(self) -> None:
        """Delete what killed drivers left: segments and files that no manifest names any more."""
        named = self.manifest.keys | {*self.manifest.retired}
        for key in (*self._store.keys("journal"), *self._store.keys("files")):
            if key not in named:
                self._store.delete(key)

    def _delete_unneeded(self) -> None:
        for name, number in list(self._unneeded.items()):
            if number <= self.manifest.events:
                self._store.delete(name)
                del self._unneeded[name]


def _stored(name: str, data: bytes) -> Stored:
    digest = hashlib.sha256(data).hexdigest()
    return Stored(f"files/{digest[:16]}/{name}", len(data), digest)
