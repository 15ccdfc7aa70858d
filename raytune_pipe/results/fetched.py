"""The mark of a copy of a run that was fetched from elsewhere."""

import json
from pathlib import Path
from typing import NamedTuple

from raytune_pipe.base import ResultsError, to_json

FETCHED = "fetched.json"
"""The name of its file in the copy."""


class Fetched(NamedTuple):
    """Where a copy comes from, and what of the run it has."""

    address: str
    """Of the cluster's head."""
    path: str
    """The run's folder there."""
    has_checkpoints: bool


def write_fetched(folder: Path, fetched: Fetched) -> None:
    """Mark a folder as a copy."""
    (folder / FETCHED).write_text(to_json(fetched._asdict()) + "\n", encoding="utf-8")


def read_fetched(folder: Path) -> Fetched | None:
    """Where a folder was fetched from; None where it is no copy."""
    try:
        told = json.loads((folder / FETCHED).read_bytes())
        return Fetched(str(told["address"]), str(told["path"]), bool(told["has_checkpoints"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require_original(folder: Path) -> None:
    """Raise `ResultsError` where a run cannot go on, since its checkpoints are elsewhere."""
    found = read_fetched(folder)
    if found and not found.has_checkpoints:
        raise ResultsError(
            f"{folder}: must be a run with its checkpoints to be gone on with, but is a copy of "
            f"{found.path} without them; go on there: raytune-pipe resume {found.path} --address "
            f"{found.address}"
        )
