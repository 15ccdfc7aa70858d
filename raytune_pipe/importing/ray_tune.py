"""A plain Ray Tune experiment folder, from its JSON and text files alone; pickles are not read."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytune_pipe.base import ConfigError, Value
from raytune_pipe.importing.imported_run import (
    ImportedReport,
    ImportedRun,
    ImportedTrial,
    nearest,
    own_metric,
)
from raytune_pipe.importing.ray_files import (
    RayTrial,
    Row,
    flat,
    iteration_of,
    metrics_of,
    read_trials,
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
from raytune_pipe.importing.ray_space import (
    is_changing,
    require_known,
    skeleton,
    with_own_names,
)
from raytune_pipe.results.events import Status
from raytune_pipe.search_space import SearchSpace


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
    trials = read_trials(folder, notes)
    if space is None:
        raise ConfigError(skeleton(folder, trials))
    space = with_own_names(space, notes)
    require_known(space, trials, metric)
    full = epochs or max((iteration_of(row) for one in trials for row in one.rows), default=0)
    is_population = (folder / EXPLOITS).exists() or is_changing(space, trials)
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
            ages = [iteration_of(row) for row in one.rows]
            courses[one.trial_id] = course_of(ages, in_force, copies, self.is_population)
        self.lost = sum(step.lost for course in courses.values() for step in course)
        numbers = {
            one.trial_id: {
                iteration_of(row): step.number
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
            metrics = metrics_of(row)
            reports.append(
                ImportedReport(
                    number=step.number,
                    epoch=float(iteration_of(row)),
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
            is_outside = value is not None and not hyperparameter.distribution.contains(value)
            held = nearest(hyperparameter, value)
            if is_outside and not self.is_population:
                raise ConfigError(
                    f"search_space.{hyperparameter.name}: must hold every value that was tried, but"
                    f" trial {one.trial_id} has {value!r}; give the range that was searched"
                )
            self.moved += is_outside
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
