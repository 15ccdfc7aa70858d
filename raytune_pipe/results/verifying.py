"""Checking every file of a run against its hash and against the journal, and mending what can be.

The journal is the truth: what is derived from it can be rebuilt, and only what it names itself
(checkpoints, the experiment's file) can be lost.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytune_pipe.base import ResultsError
from raytune_pipe.results.bucket_runs import copied_run, damaged_parts
from raytune_pipe.results.checksums import CHECKSUMS
from raytune_pipe.results.error_files import ERRORS
from raytune_pipe.results.fetched import read_fetched
from raytune_pipe.results.files import digest_of, leftovers
from raytune_pipe.results.journal import JOURNAL, journal_of
from raytune_pipe.results.journal_contents import JournalContents
from raytune_pipe.results.locations import is_uri, uri_of
from raytune_pipe.results.lock import is_held, take_lock
from raytune_pipe.results.object_store import ObjectStore
from raytune_pipe.results.published import (
    PUBLISHED,
    Published,
    are_equal,
    number_of,
    read_published,
)
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.status import STATUS, RunStatus

_LOOKS = 5
"""At a run that goes on: what is being replaced under one look is whole under another."""
_BETWEEN_LOOKS_S = 0.5


@dataclass(frozen=True)
class Problem:
    """Something about one file of a run that is not as it must be."""

    path: str
    """Relative to the run directory."""
    what: str
    repairable: bool
    """Whether `repair_run` mends it, with nothing lost."""


@dataclass(frozen=True)
class Verification:
    """What was looked at in a run directory, and what is wrong with it."""

    path: Path | str
    events: int
    """Events of the journal that fit their checksums."""
    files: int
    """Files that were there to be checked, the journal included."""
    problems: tuple[Problem, ...]
    repaired: tuple[Problem, ...] = ()

    @property
    def is_repairable(self) -> bool:
        """Whether `repair_run` would mend something; it touches nothing without its journal."""
        return _is_journal_sound(self.problems) and any(one.repairable for one in self.problems)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "path": str(self.path)}


def verify_run(path: str | Path) -> Verification:
    """Check every file of a run, or every object of one in a bucket; writes nothing.

    The journal against its lengths and running checksum; the files and checkpoints that it names,
    and the tables and the status, against their SHA-256; the tables against those that follow from
    the journal. A checkpoint that is gone is a problem only where the run still needs it,
    and none in a copy that was fetched without them.

    Raises:
        ResultsError: the folder is not a run's, or the bucket is out of reach.
    """
    if is_uri(str(path)):
        return _verify_bucket(str(path))
    folder = Path(path)
    journal_of(folder)
    lasting: Collection[Problem] | None = None
    for look in range(_LOOKS):
        running = is_held(folder)
        found = _look(folder, running)
        if not running:
            break
        if lasting is not None:
            found = replace(found, problems=tuple(p for p in found.problems if p in lasting))
        if not found.problems:
            break
        lasting = found.problems
        if look < _LOOKS - 1:
            time.sleep(_BETWEEN_LOOKS_S)
    return found


def _verify_bucket(uri: str) -> Verification:
    """Every object of a run in a bucket against its hash, and then the run that they make."""
    count, damaged = damaged_parts(uri)
    if damaged:
        problems = tuple(Problem(key, what, repairable=False) for key, what in damaged.items())
        return Verification(uri, 0, count, problems)
    with copied_run(uri) as folder:
        return replace(verify_run(folder), path=uri)


def repair_run(path: str | Path) -> Verification:
    """Mend what can be mended with nothing lost, and check the run again.

    Cuts a torn tail off the journal, rebuilds tables and status from it, and removes temporary
    files. Changes nothing where nothing is repairable, or where the journal itself is damaged.

    Raises:
        NameTakenError: a process holds the run.
        ResultsError: the folder is not a run's, or cannot be written.
    """
    if is_uri(str(path)):
        raise ResultsError(
            f"{path}: must be the folder of a run to be repaired, but is in a bucket, which the"
            f" driver's copies mend: raytune-pipe resume {path}"
        )
    folder = Path(path)
    journal_of(folder)
    take_lock(folder).release()
    found = verify_run(folder)
    if not found.is_repairable:
        return found
    with RunDirectory.reopen(folder) as run:
        broken = [one.path for one in found.problems if one.path.startswith(f"{ERRORS}/")]
        for name in [*leftovers(folder), *broken]:
            (folder / name).unlink(missing_ok=True)
        run.rebuild()
    after = verify_run(folder)
    return replace(after, repaired=tuple(p for p in found.problems if p not in after.problems))


def _look(folder: Path, running: bool) -> Verification:
    """One look at all files; of a run that goes on, what is not yet there is no problem."""
    published = read_published(folder)  # first, so that the journal must hold it
    numbers = {number_of(table) for table in published.tables.values()}
    contents = JournalContents.read(folder / JOURNAL, numbers)
    problems = [*_journal_problems(contents, published, running)]
    problems += _checksum_problems(published, contents, running)
    if _is_journal_sound(problems):
        for name, table in published.tables.items():
            problems += _table_problems(name, table, contents, running)
        problems += _status_problems(published.status, contents, running)
        problems += _error_problems(folder, contents.errors, running)
    copy = read_fetched(folder)
    has_checkpoints = _is_journal_sound(problems) and (copy is None or copy.has_checkpoints)
    needed = contents.needed_checkpoints() if has_checkpoints else set()
    problems += _hash_problems(contents.files, contents.files, digest_in(folder))
    problems += _hash_problems(contents.checkpoints, needed, digest_in(folder, uri_of(folder)))
    problems += [] if running else _leftover_problems(folder)
    named = {*contents.files, *contents.checkpoints, *contents.errors}
    names = {*named, *PUBLISHED, CHECKSUMS, JOURNAL}
    files = sum((folder / name).is_file() for name in names)
    return Verification(folder, contents.fold.tables.number, files, tuple(problems))


def _is_journal_sound(problems: Iterable[Problem]) -> bool:
    return not any(one.path == JOURNAL and not one.repairable for one in problems)


def _journal_problems(
    contents: JournalContents, published: Published, running: bool
) -> list[Problem]:
    if contents.damage:
        return [Problem(JOURNAL, contents.damage, repairable=False)]
    once = published.journal_bytes()
    if contents.bytes < once:
        what = (
            f"must hold the {once:,} bytes of events that the tables or {STATUS} tell of, but "
            f"holds {contents.bytes:,}: its end is lost; restore it from a copy"
        )
        return [Problem(JOURNAL, what, repairable=False)]
    if contents.torn_bytes and not running:
        what = (
            f"must end with a whole event, but ends with {contents.torn_bytes} bytes of one that "
            "a crash cut off before anyone was told of it"
        )
        return [Problem(JOURNAL, what, repairable=True)]
    return []


def _checksum_problems(
    published: Published, contents: JournalContents, running: bool
) -> Iterable[Problem]:
    """The published files that are not as they were written, or are not there.

    There are no tables before there is an experiment, nor before a run that goes on publishes.
    """
    for name in published.changed:
        what = (
            f"must have the SHA-256 that {CHECKSUMS} says, but has not: one of the two was "
            "changed, or a crash came between them"
        )
        yield Problem(name, what, repairable=True)
    expected = (STATUS,) if contents.fold.tables.experiment is None else PUBLISHED
    for name in () if running else sorted({*published.missing} & {*expected}):
        yield Problem(name, "must be there, but is not", repairable=True)


def _table_problems(
    name: str, table: pa.Table, contents: JournalContents, running: bool
) -> list[Problem]:
    """Whether a table is as it follows from the journal, and from all of it."""
    number, last = number_of(table), contents.fold.tables.number
    rebuilt = contents.tables.get(number)
    if rebuilt is None or not are_equal(table, getattr(rebuilt, name.removesuffix(".parquet"))):
        what = f"must be as events 1 to {number} of the journal tell, but differs"
        return [Problem(name, what, repairable=True)]
    if number < last and not running:
        what = f"must tell of all {last} events of the journal, but tells of {number}"
        return [Problem(name, what, repairable=True)]
    return []


def _status_problems(
    status: RunStatus | None, contents: JournalContents, running: bool
) -> list[Problem]:
    """Whether the status is that of the journal's end; it has a clock of its own besides."""
    if status is None or running:
        return []
    end = contents.fold.finish
    state = end["state"] if end else status.state
    trials = {str(name): count for name, count in contents.fold.tables.counts().items()}
    told = RunStatus(state, trials, contents.bytes)
    if status == told:
        return []
    return [
        Problem(
            STATUS, f"must tell {told._asdict()}, but tells {status._asdict()}", repairable=True
        )
    ]


def digest_in(folder: Path, uri: str | None = None) -> Callable[[str], str | None]:
    """What gives the SHA-256 of a file of a run by its path, or of an object in its bucket."""
    if uri:
        return ObjectStore(uri).digest
    return lambda name: digest_of(folder / name) if (folder / name).is_file() else None


def _hash_problems(
    digests: dict[str, str], needed: Collection[str], digest_of_file: Callable[[str], str | None]
) -> Iterable[Problem]:
    """The files that are not as the journal says, and those that are gone but needed."""
    for name, digest in digests.items():
        try:
            found = digest_of_file(name)
        except OSError as error:
            yield Problem(name, f"must be readable, but got: {error.strerror}", repairable=False)
            continue
        if found is None and name in needed:
            yield Problem(name, "must be there, but is gone; restore it from a copy", False)
        elif found is not None and found != digest:
            what = (
                f"must have SHA-256 {digest[:12]}... as the journal says, but has {found[:12]}...; "
                "restore it from a copy"
            )
            yield Problem(name, what, repairable=False)


def _error_problems(folder: Path, digests: dict[str, str], running: bool) -> Iterable[Problem]:
    """The error files that are not as the journal tells, all of which it can tell again."""
    for name, digest in digests.items():
        found = digest_of(folder / name)
        if found is None and not running:
            yield Problem(name, "must be there, but is not", repairable=True)
        elif found not in (None, digest):
            yield Problem(name, "must be as the journal tells, but differs", repairable=True)


def _leftover_problems(folder: Path) -> Iterable[Problem]:
    for name in leftovers(folder):
        what = "must not be there: left by a process that was killed while it wrote it"
        yield Problem(name, what, repairable=True)
