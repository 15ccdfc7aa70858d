"""The one object of a run in a bucket that is replaced: it names all others that count.

Every other object but the lease has a key of its own for ever, so whoever reads a manifest finds
just what it named, or nothing.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from raytune_pipe.base import ResultsError, to_json
from raytune_pipe.results.object_store import ObjectStore

MANIFEST = "manifest.json"
FORMAT = 1


class Segment(NamedTuple):
    """Whole lines of the journal, one after the other."""

    key: str
    first: int
    """Number of its first event, from 1."""
    last: int
    bytes: int
    sha256: str


class Stored(NamedTuple):
    """A file of the run's folder, as it was at one moment."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the bucket holds of a run."""

    segments: tuple[Segment, ...] = ()
    """The journal, from its first event on."""
    files: dict[str, Stored] = field(default_factory=dict)
    """By path in the run's folder."""
    checksum: int = 0
    """The running CRC32 of the journal up to the last of these events."""
    retired: tuple[str, ...] = ()
    """Keys that the manifest before this one named, and this one does not."""
    token: int = 0
    """Of the lease under which it was written."""
    sync_seconds: float = 0.0
    """How often it was to be brought up to the journal."""
    time: float = 0.0
    """Seconds since the epoch, UTC."""

    @property
    def events(self) -> int:
        """How many events of the journal are there."""
        return self.segments[-1].last if self.segments else 0

    @property
    def journal_bytes(self) -> int:
        """Their length."""
        return sum(segment.bytes for segment in self.segments)

    @property
    def keys(self) -> set[str]:
        """The objects it names, but for checkpoints, which the journal names."""
        return {s.key for s in self.segments} | {f.key for f in self.files.values()}

    def to_bytes(self) -> bytes:
        """JSON that holds its own checksum."""
        body: dict[str, Any] = {"format": FORMAT, **vars(self)}
        body["segments"] = [segment._asdict() for segment in self.segments]
        body["files"] = {name: stored._asdict() for name, stored in self.files.items()}
        digest = hashlib.sha256(to_json(body).encode()).hexdigest()
        return (to_json({**body, "sha256": digest}) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, uri: str) -> Self:
        """The inverse of `to_bytes`; raises `ResultsError` where it is damaged, or a later one."""
        try:
            body = json.loads(data)
            digest, version = body.pop("sha256"), body.pop("format")
            if hashlib.sha256(to_json({"format": version, **body}).encode()).hexdigest() != digest:
                raise ValueError("its checksum does not fit")
            if version != FORMAT:
                raise ValueError(f"it is of format {version}, and this package knows {FORMAT}")
            body["segments"] = tuple(Segment(**segment) for segment in body["segments"])
            body["files"] = {name: Stored(**stored) for name, stored in body["files"].items()}
            return cls(**body | {"retired": tuple(body["retired"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultsError(
                f"{uri}/{MANIFEST}: must be a whole manifest of this package, but {error}; go on "
                "from the folder of the driver, whose next copy replaces it"
            ) from error


def read_manifest(store: ObjectStore) -> Manifest | None:
    """The manifest of a run; None where there is none.

    Raises:
        ResultsError: it is damaged, or cannot be read.
    """
    return store.get_replaced(MANIFEST, lambda data: Manifest.parse(data, store.uri))
