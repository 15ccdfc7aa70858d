"""What a helper on the head tells of runs there, as ``python -m raytune_pipe.tuning.job_side``.

One line of JSON on stdout: ``run`` finds a run, ``files`` gives a piece of its files.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from raytune_pipe.base import RaytunePipeError, ResultsError
from raytune_pipe.results.bucket_runs import kept_copy
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, journal_of, read_events
from raytune_pipe.results.locations import copy_of, is_uri, local_folder


def folder_of(location: str) -> Path:
    """The folder of a run. Of a URI it is the one in which a driver of this machine writes.

    Where that is gone with its disk, it is a copy of what the bucket has, for this process alone.
    """
    if not is_uri(location):
        return Path(location)
    folder = local_folder(location)
    return folder if (folder / JOURNAL).is_file() else kept_copy(location)


def find_run(storage: str, name: str, job: str) -> Path | None:
    """The folder of the run that a job has launched or gone on with."""
    here = local_folder(storage) if is_uri(storage) else Path(storage)
    for journal in sorted(here.glob(f"{name}*/{JOURNAL}")):
        if job in _jobs_of(journal):
            return journal.parent
    if is_uri(storage):
        with suppress(ResultsError):  # there is none of this name
            copied = kept_copy(f"{storage}/{name}")
            return copied if job in _jobs_of(copied / JOURNAL) else None
    return None


def _jobs_of(journal: Path) -> set[str]:
    """The jobs that have run it; none where it cannot be read."""
    try:
        return {job for event in read_events(journal) if (job := _job_of(event))}
    except ResultsError:
        return set()


def _job_of(event: Event) -> str | None:
    return event.get("job") if event["event"] in ("experiment", "resume") else None


def describe(path: Path) -> dict[str, Any]:
    """What is to be known of a run to go on with it from elsewhere."""
    for event in read_events(journal_of(path)):
        if event["event"] == "experiment":
            plain = event["experiment"]
            return {
                "path": copy_of(path) or str(path),
                "name": plain["name"],
                "env_passthrough": plain.get("env_passthrough", []),
            }
    raise ResultsError(f"{path}: the journal must begin with an experiment, but it holds none")


def main(words: Sequence[str]) -> None:
    """Print the answer, or the error with its exit code."""
    try:
        answer = _answer(_parsed(words))
    except RaytunePipeError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")  # in one piece, between lines of others
    sys.stdout.flush()


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--path")
    run.add_argument("--storage")
    run.add_argument("--name")
    run.add_argument("--job")
    files = commands.add_parser("files")
    files.add_argument("path")
    files.add_argument("--skip", type=int, default=0)
    files.add_argument("--take", type=int, required=True)
    files.add_argument("--checkpoints", action="store_true")
    return parser.parse_args(words)


def _answer(asked: argparse.Namespace) -> dict[str, Any]:
    if asked.command == "run":
        path = (
            folder_of(asked.path) if asked.path else find_run(asked.storage, asked.name, asked.job)
        )
        if path is None:
            raise ResultsError(
                f"{asked.job}: must have begun a run in {asked.storage}, but has not"
            )
        return describe(path)
    from raytune_pipe.tuning.job_files import Snapshot

    snapshot = Snapshot.of(folder_of(asked.path), with_checkpoints=asked.checkpoints)
    piece = snapshot.piece(asked.skip, asked.take)
    return {
        "files": [file._asdict() for file in snapshot.files],
        "sha256": hashlib.sha256(piece).hexdigest(),
        "data": base64.b64encode(piece).decode(),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
