"""A plain Ray Tune experiment folder, from its JSON and text files alone; pickles are not read."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from raytune_pipe.base import ConfigError, ResultsError, Value
from raytune_pipe.importing.imported_run import (
    ImportedReport,
    ImportedRun,
    ImportedTrial,
    as_value,
    nearest,
    own_metric,
    own_name,
)
from raytune_pipe.importing.ray_population import (
    EXPLOITS,
    Exploit,
    Step,
    course_of,
    decision_of,
    interval_of,
    read_exploits,
)
from raytune_pipe.results.events import Status
from raytune_pipe.results.files import storage_errors
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

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


def read_ray_folder(
    folder: Path,
    space: SearchSpace | None,
    metric: str,
    mode: str,
    *,
    epochs: int | None = None,
    interval: int | None = None,
) -> ImportedRun:
    """The run in a Ray Tune experiment folder.

    Args:
        folder: the one that holds the trials' folders.
        space: the hyperparameters to rank; Ray's JSON files do not hold their distributions.
        metric: to optimize, as reported; one within another is named ``outer/inner``.
        mode: min or max.
        epochs: the full budget, the largest ``training_iteration`` unless told: who has less and
            did not fail was stopped early.
        interval: perturbation interval of population-based training, unless told the greatest that
            fits the iterations at which trials were copied.

    Raises:
        ConfigError: there is no search space (it shows one to fill in) or it does not fit; no row
            has the metric.
        ResultsError: the folder has no trials, or a file in it is damaged.
    """
    notes: list[str] = []
    trials = _read_trials(folder, notes)
    if space is None:
        raise ConfigError(_skeleton(folder, trials))
    space = _with_own_names(space, notes)
    _require_known(space, trials, metric)
    full = epochs or max((_iteration(row) for one in trials for row in one.rows), default=0)
    is_population = (folder / EXPLOITS).exists() or _is_changing(space, trials)
    exploits = read_exploits(folder, (one.trial_id for one in trials), flat)
    importer = _Importer(space, metric, mode, full, exploits if is_population else None)
    imported = tuple(importer.trials(trials))
    scheduler: dict[str, Any] = {}
    if is_population:
        scheduler = {"kind": "pbt", "interval_epochs": interval or interval_of(exploits)}
        notes.append(
            "population-based training: Ray's files often lack rows of trials that were paused "
            f"or replaced, and at least {importer.lost} reports are missing here; segments whose "
            f"start is unknown are left out; perturbation interval {scheduler['interval_epochs']}"
        )
    if importer.moved:
        notes.append(
            f"{importer.moved} values outside of the search space were taken as the nearest in it"
        )
    objective = {"metric": own_metric(metric), "mode": mode, "at": "last"}
    return ImportedRun(
        f"Ray Tune, {folder.name}", space, objective, imported, scheduler, tuple(notes)
    )


class _Importer:
    """Makes trials of ours; counts what was moved into the space, and what is missing."""

    def __init__(
        self,
        space: SearchSpace,
        metric: str,
        mode: str,
        full: float,
        exploits: Mapping[str, list[Exploit]] | None,
    ) -> None:
        self.space, self.metric, self.full = space, own_metric(metric), full
        self.sign = -1.0 if mode == "max" else 1.0
        self.exploits, self.is_population = exploits or {}, exploits is not None
        self.moved = self.lost = 0

    def trials(self, found: list[RayTrial]) -> Iterator[ImportedTrial]:
        """The trials, their reports and how they ended."""
        values = [[self._values(row, one) for row in one.rows] for one in found]
        courses: dict[str, list[Step]] = {}
        for one, in_force in zip(found, values, strict=True):
            copies = [
                copy._replace(values=self._held(copy.values))
                for copy in self.exploits.get(one.trial_id, ())
            ]
            ages = [_iteration(row) for row in one.rows]
            courses[one.trial_id] = course_of(ages, in_force, copies, self.is_population)
        self.lost = sum(step.lost for course in courses.values() for step in course)
        numbers = {
            one.trial_id: {
                _iteration(row): step.number
                for row, step in zip(one.rows, courses[one.trial_id], strict=True)
            }
            for one in found
        }
        for one, in_force in zip(found, values, strict=True):
            yield self._trial(one, in_force, courses[one.trial_id], numbers)

    def _trial(
        self,
        one: RayTrial,
        values: list[dict[str, Value]],
        course: list[Step],
        numbers: Mapping[str, Mapping[int, int]],
    ) -> ImportedTrial:
        reports = []
        for place, (row, step) in enumerate(zip(one.rows, course, strict=True)):
            before = None
            if place and step.segment > course[place - 1].segment:
                copy = step.copy
                donor_report = numbers.get(copy.donor, {}).get(copy.donor_iteration) if copy else 0
                before = decision_of(
                    one.trial_id, values[place - 1], values[place], copy, donor_report or None
                )
            metrics = _metrics(row)
            reports.append(
                ImportedReport(
                    number=step.number,
                    epoch=float(_iteration(row)),
                    score=self.sign * metrics.get(self.metric, math.nan),
                    metrics=metrics,
                    values=values[place],
                    segment=step.segment,
                    time_s=float(row.get("time_total_s") or 0.0),
                    time=float(row.get("timestamp") or 0.0),
                    before=before,
                )
            )
        leaves = {**one.params, **(values[0] if values else self._held(one.params))}
        status, reason = self._status(one, reports)
        return ImportedTrial(one.trial_id, leaves, status, tuple(reports), reason, one.error)

    def _held(self, config: Mapping[str, Value]) -> dict[str, Value]:
        return {one.name: nearest(one, config.get(one.name)) for one in self.space}

    def _values(self, row: Row, one: RayTrial) -> dict[str, Value]:
        config = {**one.params, **flat(row.get("config") or {})}
        values = {}
        for hyperparameter in self.space:
            value = config.get(hyperparameter.name)
            held = nearest(hyperparameter, value)
            if held != value and not self.is_population:
                raise ConfigError(
                    f"search_space.{hyperparameter.name}: must hold every value that was tried, but"
                    f" trial {one.trial_id} has {value!r}; give the range that was searched"
                )
            self.moved += held != value
            values[hyperparameter.name] = held
        return values

    def _status(self, one: RayTrial, reports: list[ImportedReport]) -> tuple[Status, str | None]:
        if one.error is not None:
            lines = [line for line in one.error.splitlines() if line.strip()]
            return "failed", lines[-1].strip() if lines else "error.txt"
        if one.is_unended or not reports:
            return "interrupted", None
        if not math.isfinite(reports[-1].score):
            return "diverged", "not_a_number"
        if self.is_population or reports[-1].epoch >= self.full:
            return "completed", None
        return "stopped_early", f"ended at iteration {reports[-1].epoch:g} of {self.full:g}"


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


def _read_trials(folder: Path, notes: list[str]) -> list[RayTrial]:
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


def _iteration(row: Row) -> int:
    number = row.get("training_iteration")
    if not isinstance(number, int):
        raise ResultsError(
            f"result.json: every row must have a training_iteration, but one has {number!r}"
        )
    return number


def _metrics(row: Row) -> dict[str, float]:
    return {own_metric(name): value for name, value in _numbers(row) if name not in BOOKKEEPING}


def _numbers(row: Row, above: str = "") -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        name = f"{above}{key}"
        if isinstance(value, int | float):
            yield name, float(value)
        elif isinstance(value, Mapping) and name != "config":
            yield from _numbers(value, f"{name}/")


def _with_own_names(space: SearchSpace, notes: list[str]) -> SearchSpace:
    renamed = {name: own_name(name) for name in space.names if own_name(name) != name}
    for name, own in renamed.items():
        notes.append(f"hyperparameter {name} is called {own}: {name} is the column of a metric")
    return SearchSpace(
        tuple(
            Hyperparameter(
                own_name(one.name),
                one.distribution,
                one.condition and Condition(own_name(one.condition.parent), one.condition.values),
            )
            for one in space
        )
    )


def _require_known(space: SearchSpace, trials: list[RayTrial], metric: str) -> None:
    known = {name for one in trials for name in one.params}
    unknown = [name for name in space.names if name not in known]
    if unknown:
        raise ConfigError(
            f"search_space.{unknown[0]}: must be in params.json of some trial, but only "
            f"{', '.join(sorted(known))} are"
        )
    seen = {name for one in trials for row in one.rows for name, _ in _numbers(row)}
    if metric not in seen - BOOKKEEPING:
        raise ConfigError(
            f"--metric: must be a number that trials reported, but got {metric!r}; there are "
            f"{', '.join(sorted(seen - BOOKKEEPING)) or 'none'}"
        )


def _is_changing(space: SearchSpace, trials: list[RayTrial]) -> bool:
    """Whether a searched hyperparameter changed while a trial ran."""
    return any(
        len({repr(flat(row.get("config") or {}).get(name)) for row in one.rows}) > 1
        for one in trials
        for name in space.names
    )


def _skeleton(folder: Path, trials: list[RayTrial]) -> str:
    """What to write for ``--space``, with what was seen of each parameter."""
    seen: dict[str, list[Value]] = {}
    for one in trials:
        configs = [one.params, *(flat(row.get("config") or {}) for row in one.rows)]
        for name, value in (pair for config in configs for pair in config.items()):
            if value is not None and value not in seen.setdefault(name, []):
                seen[name].append(value)
    lines = [_entry(name, values) for name, values in seen.items() if len(values) > 1]
    return "\n".join(
        [
            f"{folder}: the distributions that were searched must be known, but Ray's JSON files do"
            " not hold them, and a guess from what was drawn would rank wrongly; write them into a"
            " file, and name it: --space space.yaml. What was seen:",
            "search_space:",
            *lines,
        ]
    )


def _entry(name: str, values: list[Value]) -> str:
    numbers = [one for one in values if isinstance(one, int | float) and type(one) is not bool]
    if len(numbers) < len(values) or (len(values) <= 4 and all(type(one) is int for one in values)):
        options = json.dumps(sorted(values, key=lambda one: (str(type(one)), one)))
        return f"  {name}: {{kind: choice, options: {options}}}  # seen; are these all?"
    low, high = min(numbers), max(numbers)
    kind = "int_uniform" if all(type(one) is int for one in values) else "uniform"
    if low > 0 and high / low > 20:
        kind = "log_" + kind
    return f"  {name}: {{kind: {kind}, low: {low}, high: {high}}}  # seen; write what was searched"
