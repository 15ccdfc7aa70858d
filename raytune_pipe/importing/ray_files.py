"""The files of a Ray Tune experiment folder: what each trial was given, reported and ended with."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from raytune_pipe.base import ResultsError, Value
from raytune_pipe.importing.imported_run import as_value, own_metric, own_name
from raytune_pipe.results.files import storage_errors

Row = Mapping[str, Any]

BOOKKEEPING = frozenset(
    {
        *("timestamp", "checkpoint_dir_name", "should_checkpoint", "done", "training_iteration"),
        *("trial_id", "date", "time_this_iter_s", "time_total_s", "pid", "hostname", "node_ip"),
        *("config", "time_since_restore", "iterations_since_restore", "experiment_tag"),
    }
)
"""What Ray writes into every result beside the metrics."""
UNENDED = ("RUNNING", "PENDING", "PAUSED")


@dataclass(frozen=True)
class RayTrial:
    """The files of one trial."""

    folder: Path
    trial_id: str
    params: dict[str, Value]
    """``params.json``, flat; under population-based training these are the last ones."""
    rows: list[Row]
    error: str | None
    is_unended: bool


def read_trials(folder: Path, notes: list[str]) -> list[RayTrial]:
    """The trials of a folder; a line that was cut off is left out, and noted.

    Raises:
        ResultsError: the folder has no trials, or a file in it is damaged.
    """
    with storage_errors(folder):
        if not folder.is_dir():
            raise ResultsError(f"{folder}: must be the folder of a Ray Tune experiment, but is not")
        found = sorted(file.parent for file in folder.glob("*/params.json"))
    if not found:
        raise ResultsError(
            f"{folder}: must hold a folder with params.json for each trial, but holds none; name "
            "the experiment's folder, such as ~/ray_results/NAME (Ray writes these files unless "
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS is set)"
        )
    unended = _unended(folder)
    return [_read_trial(one, unended, notes) for one in found]


def _read_trial(folder: Path, unended: frozenset[str], notes: list[str]) -> RayTrial:
    params = _json(folder / "params.json", _text(folder / "params.json"))
    rows: list[Row] = []
    file = folder / "result.json"
    lines = _text(file).splitlines() if file.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_json(file, line, number))
        except ResultsError:
            if number < len(lines):
                raise
            notes.append(f"{folder.name}: the last line of result.json is cut off, and left out")
    errors = folder / "error.txt"
    trial_id = str(rows[0].get("trial_id") or folder.name) if rows else _id_of(folder)
    return RayTrial(
        folder=folder,
        trial_id="".join(one if one.isalnum() or one in "_-" else "_" for one in trial_id),
        params=flat(params),
        rows=rows,
        error=_text(errors) if errors.is_file() else None,
        is_unended=trial_id in unended,
    )


def _id_of(folder: Path) -> str:
    """The id in a folder's name, such as 943ed_00002 in train_943ed_00002_2_lr=0.1_2026-..."""
    parts = folder.name.split("_")
    for left, right in pairwise(parts):
        if len(right) == 5 and right.isdigit():
            return f"{left}_{right}"
    return folder.name


def _unended(folder: Path) -> frozenset[str]:
    """Ids of trials that had not ended when Ray wrote its state last."""
    files = sorted(folder.glob("experiment_state-*.json"))
    if not files:
        return frozenset()
    try:
        states = [json.loads(one[0]) for one in json.loads(_text(files[-1]))["trial_data"]]
        return frozenset(one["trial_id"] for one in states if one["status"] in UNENDED)
    except (ValueError, KeyError, TypeError, IndexError):
        return frozenset()  # it is of another version of Ray


def _text(file: Path) -> str:
    with storage_errors(file):
        return file.read_text(encoding="utf-8", errors="replace")


def _json(file: Path, text: str, line: int | None = None) -> dict[str, Any]:
    where = f"{file}:{line}" if line else f"{file}"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{where}: must be JSON, but {error}") from error
    if not isinstance(found, dict):
        raise ResultsError(f"{where}: must be a JSON object, but got {text[:80]}")
    return found


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Value]:
    """A nested configuration by dotted names; a slash in a name becomes a dot."""
    found: dict[str, Value] = {}
    for key, value in config.items():
        name = above + str(key).replace("/", ".")
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name if above else own_name(name)] = as_value(value)
    return found


def iteration_of(row: Row) -> int:
    """The ``training_iteration`` of a row; raises ResultsError where it has none."""
    number = row.get("training_iteration")
    if not isinstance(number, int):
        raise ResultsError(
            f"result.json: every row must have a training_iteration, but one has {number!r}"
        )
    return number


def metrics_of(row: Row) -> dict[str, float]:
    """What a trial reported in a row, by the names of our columns."""
    return {own_metric(name): value for name, value in numbers_of(row) if name not in BOOKKEEPING}


def numbers_of(row: Row, above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a row, also those within mappings (``outer/inner``), but the configuration."""
    for key, value in row.items():
        name = f"{above}{key}"
        if isinstance(value, int | float):
            yield name, float(value)
        elif isinstance(value, Mapping) and name != "config":
            yield from numbers_of(value, f"{name}/")
