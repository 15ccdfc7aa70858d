"""What a journal says that the other files of its run must be."""

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

from raytune_pipe.base import ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import NewerVersionError, read_events
from raytune_pipe.results.run_fold import RunFold
from raytune_pipe.results.tables import Tables


@dataclass
class JournalContents:
    """All of a journal that other files can be checked against, as far as it can be read."""

    keep: Collection[int]
    """After how many events to keep the tables as they then stood."""
    tables: dict[int, Tables] = field(default_factory=dict)
    """Those, by number of events."""
    fold: RunFold = field(default_factory=RunFold)
    """What follows from the events that could be read."""
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each file that has an event of its own, by path."""
    checkpoints: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each checkpoint, by path; one that was made again after a crash is newer."""
    errors: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each error file, which follows from the journal, by path."""
    bytes: int = 0
    """Where its last whole event ends."""
    torn_bytes: int = 0
    damage: str | None = None
    """Why it cannot be read on from there."""

    @classmethod
    def read(cls, journal: Path, keep: Collection[int]) -> Self:
        """Read a journal to its end, or to where it is damaged.

        Raises:
            NewerVersionError: only a later version of this package can tell what it must hold.
        """
        contents, events = cls(keep), read_events(journal)
        try:
            for event in events:
                contents._add(event, events.offset)
        except NewerVersionError:
            raise
        except ResultsError as error:
            contents.damage = str(error).removeprefix(f"{journal}: ")
        contents.torn_bytes = events.torn_bytes
        return contents

    def needed_checkpoints(self) -> set[str]:
        """The paths of those that the collector never deletes as things stand."""
        return set(self.checkpoints) - set(self.fold.checkpoints.unneeded())

    def _add(self, event: Event, offset: int) -> None:
        self.fold.add(event)
        for path, data in self.fold.errors.take():
            self.errors[path] = sha256(data).hexdigest()
        if event["event"] == "file":
            self.files[event["path"]] = event["sha256"]
        elif event["event"] == "report" and event["checkpoint"]:
            self.checkpoints[event["checkpoint"]["path"]] = event["checkpoint"]["sha256"]
        self.bytes = offset
        number = self.fold.tables.number
        if number in self.keep:
            self.tables[number] = self.fold.tables.tables(offset)
