"""The journal: an append-only file of checksummed events, from which all else is derived.

A line is ``<length> <crc32> <json>`` and a newline: the length of the JSON in bytes, and the
CRC32 (eight hexadecimal digits) of all the JSON from the start of the file to the end of the
line, so that a line which is changed, missing or out of place does not fit. Events are numbered by
line, from 1.

A file that ends before a stated length has a torn tail: a write that was cut off before anyone
was told that it is on disk. Anything else that does not fit is damage.
"""

import os
import re
from collections.abc import Callable, Iterator
from errno import ENOENT
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

from raytune_pipe.base import ResultsError
from raytune_pipe.results.encoding import decode, encode
from raytune_pipe.results.events import SCHEMA_VERSION, Event, ExperimentEvent
from raytune_pipe.results.files import flush_folder, storage_errors, write_errors

JOURNAL = "journal.jsonl"
"""Its name in a run directory."""

Listener = Callable[[Event], object]
"""Called with every event once it is on disk."""

_EXPERIMENT = re.compile(rb'\d+ [0-9a-f]{8} \{"event":"experiment",')
_TORN_LINE = re.compile(rb"(?P<length>[1-9]\d*)( [0-9a-f]{0,7}| [0-9a-f]{8}( (?P<json>.*))?)?")


class NewerVersionError(ResultsError):
    """A file is of a later version of this package, which alone can read it."""


def require_known_version(version: int, file: Path) -> None:
    """Raise `NewerVersionError` where a file is of a schema version that this package cannot know.

    What it holds might be misread without a word.
    """
    if version > SCHEMA_VERSION:
        raise NewerVersionError(
            f"{file}: must be of schema version {SCHEMA_VERSION} at most, but got {version}: it "
            "was written by a newer version of raytune-pipe; upgrade to read it"
        )


class JournalReader:
    """Iterates over the events of a journal, and tells where it stands.

    Once through, it can be iterated again for the events that were added since.

    Raises:
        ResultsError: the journal cannot be read, or is damaged; with the offset in bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        """Events read so far."""
        self.offset = 0
        """Where the last one ends, in bytes."""
        self.checksum = 0
        """The CRC32 up to there."""
        self.torn_bytes = 0
        """The length of a torn tail, known once all events are read."""

    def __iter__(self) -> Iterator[Event]:
        self.torn_bytes = 0
        with storage_errors(self.path), self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n") and _is_torn(line):
                    self.torn_bytes = len(line)
                    return
                yield self._event(line)

    def _event(self, line: bytes) -> Event:
        payload = line[:-1].split(b" ", 2)[-1]
        checksum = crc32(payload, self.checksum)
        if not (line.startswith(_head(payload, checksum)) and line.endswith(b"\n")):
            raise ResultsError(
                f"{self.path}: event {self.number + 1} at byte {self.offset} must fit its length "
                "and its checksum, but it does not: the file is damaged; restore it from a copy"
            )
        self.number += 1
        self.offset += len(line)
        self.checksum = checksum
        event = decode(payload)
        if event["event"] == "experiment":
            require_known_version(event["schema_version"], self.path)
        return event


def journal_of(folder: Path) -> Path:
    """The journal of a run.

    Raises:
        ResultsError: the folder is not a run's, or cannot be read.
    """
    journal = folder / JOURNAL
    with storage_errors(journal):
        is_run = journal.is_file()
    if not is_run:
        raise ResultsError(
            f"{folder}: must be the folder of a run, but it has no {JOURNAL}; name the folder "
            "beneath the storage, such as results/NAME"
        )
    return journal


def read_events(path: Path) -> JournalReader:
    """The events of a journal, also while it is being written; a torn tail is left out."""
    return JournalReader(path)


def recorded_experiment(journal: Path) -> ExperimentEvent | None:
    """The experiment of a run as its journal told it last; None where it tells none yet.

    It is looked for by the beginnings of the lines, so that a large journal is not decoded.

    Raises:
        ResultsError: the journal cannot be read, or what it tells there is damaged.
    """
    found: ExperimentEvent | None = None
    with storage_errors(journal):
        if not journal.is_file():
            return None
        with journal.open("rb") as file:
            lines = [line for line in file if _EXPERIMENT.match(line) and line.endswith(b"\n")]
    for line in lines:
        length, _, payload = line[:-1].split(b" ", 2)
        if int(length) != len(payload):
            raise ResultsError(
                f"{journal}: a line that tells of the experiment must have its length, but has "
                "not: the file is damaged; restore it from a copy"
            )
        event = decode(payload)
        if event["event"] == "experiment":
            require_known_version(event["schema_version"], journal)
            found = event
    return found


class JournalEnd(NamedTuple):
    """Where the last event ends that its writer knows to be on disk."""

    number: int = 0
    offset: int = 0
    checksum: int = 0


class Journal:
    """Appends events; an append returns once they are on disk.

    An append that is interrupted (Ctrl-C) may be on disk or not; the next one overwrites it.
    A journal that is gone on with is read when that is first needed, and only once.

    Raises:
        ResultsError: the file cannot be written. After a failed append it takes no more, since
            what is on disk is unknown until it is opened again.
    """

    def __init__(self, path: Path, listener: Listener | None = None) -> None:
        self.path = path
        self.require_right: Callable[[], object] = lambda: None
        """Called before every append; raises where this process may not write any more."""
        self.cut_bytes = 0
        """The length of the torn tail that was cut off once all was read."""
        self._unread: JournalReader | None = None
        self._end = JournalEnd()
        self._interrupted = False
        self._listener = listener
        self._descriptor: int | None = None

    @property
    def number(self) -> int:
        """Events in the journal."""
        self._read_on()
        return self._end.number

    @property
    def offset(self) -> int:
        """Where the last one ends, in bytes."""
        self._read_on()
        return self._end.offset

    @property
    def end(self) -> JournalEnd:
        """Where its last event ends, of one moment; what was there when it opened must be read."""
        return self._end

    @classmethod
    def create(cls, path: Path, listener: Listener | None = None) -> Self:
        """Start a new journal; the file must not exist."""
        journal = cls(path, listener)
        with write_errors(path, path.parent):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            journal._descriptor = os.open(path, flags, 0o600)
            flush_folder(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path, listener: Listener | None = None) -> Self:
        """Go on with a journal; see `recorded`."""
        journal = cls(path, listener)
        with write_errors(path, path.parent):
            journal._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        journal._unread = read_events(path)
        return journal

    def recorded(self) -> Iterator[Event]:
        """The events that were there when it was opened, each after the listener heard of it.

        At their end a torn tail is cut off. What has not been taken from here is read, for the
        listener alone, by whatever comes next.
        """
        reader = self._unread
        if reader is None:
            return
        for event in reader:
            if self._listener:
                self._listener(event)
            yield event
        self._end = JournalEnd(reader.number, reader.offset, reader.checksum)
        self.cut_bytes = reader.torn_bytes
        if reader.torn_bytes and self._descriptor is not None:
            with write_errors(self.path, self.path.parent):
                os.ftruncate(self._descriptor, reader.offset)
                os.fsync(self._descriptor)
        self._unread = None

    def _read_on(self) -> None:
        if self._unread is not None:
            for _ in self.recorded():
                pass

    def append(self, *events: Event) -> None:
        """Write the events and flush them to disk, all with one flush."""
        if self._descriptor is None:
            raise ResultsError(f"{self.path}: the journal must be open, but it was closed")
        self._read_on()
        self.require_right()
        number, offset, checksum = self._end
        lines = []
        for event in events:
            payload = encode(event)
            checksum = crc32(payload, checksum)
            lines.append(_line(payload, checksum))
        data = b"".join(lines)
        try:
            with write_errors(self.path, self.path.parent, len(data)):
                if self._interrupted:
                    os.ftruncate(self._descriptor, offset)
                self._interrupted = True
                _write_all(self._descriptor, data)
                os.fsync(self._descriptor)
                self._require_in_place(self._descriptor)
        except ResultsError:
            self.close()
            raise
        self._end = JournalEnd(number + len(events), offset + len(data), checksum)
        self._interrupted = False
        if self._listener:
            for event in events:
                self._listener(event)

    def _require_in_place(self, descriptor: int) -> None:
        """Raise `OSError` where the path names this file no more.

        A descriptor outlives its name: what is written to a deleted file is flushed, and gone.
        """
        if not os.path.samestat(self.path.stat(), os.fstat(descriptor)):
            raise FileNotFoundError(ENOENT, "another file is in its place")

    def close(self) -> None:
        """Take no more events."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _line(payload: bytes, checksum: int) -> bytes:
    return _head(payload, checksum) + payload + b"\n"


def _head(payload: bytes, checksum: int) -> bytes:
    return b"%d %08x " % (len(payload), checksum)


def _is_torn(line: bytes) -> bool:
    """Whether a last line without a newline ends before its stated length."""
    match = _TORN_LINE.fullmatch(line)
    return match is not None and len(match["json"] or b"") <= int(match["length"])


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
