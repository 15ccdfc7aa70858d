"""The tables as a fold over events: the same while a run writes them and from its journal."""

from collections import Counter
from collections.abc import Mapping, Set
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raytune_pipe.base import ResultsError, Value
from raytune_pipe.results.columns import STANDARD_METRICS
from raytune_pipe.results.events import (
    DecisionEvent,
    Event,
    ExperimentEvent,
    ReportEvent,
    StartEvent,
    Status,
)
from raytune_pipe.results.growing_table import GrowingTable, columns_of_mappings, without_rows
from raytune_pipe.results.lineage import as_text, lineage_rows
from raytune_pipe.results.report_columns import ReportColumns, TrialReport
from raytune_pipe.results.schema import (
    file_metadata,
    lineage_schema,
    metric_field,
    metric_names,
    reports_schema,
    trials_schema,
)
from raytune_pipe.results.trial_state import TrialState
from raytune_pipe.search_space import SearchSpace


class Tables(NamedTuple):
    """The tables of a run."""

    trials: pa.Table
    reports: pa.Table
    lineage: pa.Table


class TableFold:
    """Takes the events of a run in order and holds the tables that follow from them."""

    def __init__(self) -> None:
        self.experiment: ExperimentEvent | None = None
        self.number = 0
        """Events taken."""
        self._space = SearchSpace(())
        self._text_columns: frozenset[str] = frozenset()
        self._metrics: set[str] = set()
        self._trials: dict[str, TrialState] = {}
        self._report_columns = ReportColumns()
        self._reports = GrowingTable[TrialReport](pa.schema([]), self._report_columns)
        self._superseded: set[int] = set()
        self._lineage = GrowingTable(lineage_schema(), columns_of_mappings)

    def add(self, event: Event) -> None:
        """Take the next event."""
        if event["event"] == "report":
            self._add_report(event)
        elif event["event"] == "decision":
            self._add_decisions(event)
        elif event["event"] == "start":
            self._add_start(event)
        elif event["event"] == "end":
            trial = self._trial(event["trial_id"])
            trial.begun, trial.end = True, event
        elif event["event"] == "plan":
            leaves = self._as_columns(event["leaves"])
            self._report_columns.add_plan(leaves)
            self._trials[event["trial_id"]] = TrialState(event["trial_id"], leaves)
        elif event["event"] == "warning":
            self._trial(event["trial_id"]).warnings[event["kind"]] = event["what"]
        elif event["event"] == "finish":
            for trial in self._trials.values():
                trial.interrupted = True
        elif event["event"] == "resume":
            for trial in self._trials.values():
                trial.interrupted = False
        elif event["event"] == "experiment":
            self._add_experiment(event)
        self.number += 1

    def counts(self) -> dict[Status | Literal["not_started"], int]:
        """The number of trials by status."""
        return Counter(
            trial.status if trial.begun else "not_started" for trial in self._trials.values()
        )

    def tables(self, journal_bytes: int) -> Tables:
        """The tables as they stand now, ``journal_bytes`` into the journal.

        Raises:
            ResultsError: there is no experiment yet.
        """
        if self.experiment is None:
            raise ResultsError(
                "the journal must begin with its experiment, but it holds none: the launch ended "
                "before its plan was made; launch again"
            )
        schemas = (
            trials_schema(self.experiment, self._metrics),
            reports_schema(self.experiment, self._metrics),
            lineage_schema(),
        )
        metadata = file_metadata(self.experiment, self.number, journal_bytes)
        trials, reports, lineage = (schema.with_metadata(metadata) for schema in schemas)
        all_reports = self._reports.to_table(reports)
        at_best = self.experiment["objective"]["at"] == "best"
        return Tables(
            trials=self._trials_table(trials, all_reports, at_best),
            reports=without_rows(all_reports, self._superseded),
            lineage=self._lineage.to_table(lineage),
        )

    def _trial(self, trial_id: str) -> TrialState:
        try:
            return self._trials[trial_id]
        except KeyError:
            raise ResultsError(
                f"event {self.number + 1} must be about a planned trial, but got {trial_id!r}"
            ) from None

    def _add_experiment(self, event: ExperimentEvent) -> None:
        self.experiment = event
        self._space = SearchSpace.from_mappings(event["space"])
        self._text_columns = frozenset(
            name for name, column_type in event["columns"].items() if column_type == "string"
        )
        self._metrics |= set(STANDARD_METRICS)
        self._report_columns = ReportColumns(self._text_columns)
        self._reports.change(reports_schema(event, self._metrics), self._report_columns)
        for trial in self._trials.values():  # where the run is extended; an imported one has none
            epochs = event["experiment"]["trial"]["epochs"]
            trial.leaves = {**self._as_columns(trial.leaves), "epochs": epochs}
            self._report_columns.add_plan(trial.leaves)

    def _add_start(self, event: StartEvent) -> None:
        trial = self._trial(event["trial_id"])
        trial.begun, trial.end, trial.interrupted = True, None, False
        trial.attempts = max(trial.attempts, event["attempt"] + 1)
        if trial.started_at is None:
            trial.started_at = event["time"]

    def _add_report(self, event: ReportEvent) -> None:
        trial = self._trial(event["trial_id"])
        trial.begun = True
        trial.attempts = max(trial.attempts, event["attempt"] + 1)
        if not event["metrics"].keys() <= self._metrics:
            self._add_metrics(event["metrics"].keys() - self._metrics)
        position = len(self._reports)
        self._reports.append(TrialReport(event, trial.leaves))
        superseded = trial.rows.put(event["report"], position, event["attempt"], event["score"])
        if superseded is not None:
            self._superseded.add(superseded)
        if superseded == position:
            return
        trial.last = event
        if event["checkpoint"]:
            trial.last_with_checkpoint = event

    def _add_metrics(self, names: Set[str]) -> None:
        for name in names:
            self._reports.add_field(metric_field(name))
        self._metrics |= names

    def _add_decisions(self, event: DecisionEvent) -> None:
        for decision in event["decisions"]:
            trial = self._trial(decision["trial"])
            if decision["rung"] is not None:
                trial.rung = decision["rung"]
            if decision["bracket"] is not None:
                trial.bracket = decision["bracket"]
            if decision["action"] != "wait":
                for row in lineage_rows(decision, trial.last, self._space):
                    self._lineage.append(row)

    def _as_columns(self, values: Mapping[str, Value]) -> dict[str, Value]:
        return {
            name: as_text(value) if name in self._text_columns else value
            for name, value in values.items()
        }

    def _trials_table(self, schema: pa.Schema, reports: pa.Table, at_best: bool) -> pa.Table:
        """One row for each trial that has begun, as it stood at its scored report.

        Score, metrics, epoch, step and hyperparameters in force are those of that one report, so
        that they belong together; the rest is of the trial as a whole.
        """
        begun = [trial for trial in self._trials.values() if trial.begun]
        table = pa.Table.from_pylist([trial.row() for trial in begun], schema=schema)
        positions = pa.array([trial.scored_position(at_best) for trial in begun], pa.int64())
        names = self._names_at_report()
        at_report = reports.select(names).take(positions)
        for name in names:
            values = pc.if_else(positions.is_valid(), at_report.column(name), table.column(name))
            table = table.set_column(schema.get_field_index(name), schema.field(name), values)
        return table

    def _names_at_report(self) -> list[str]:
        """The columns of the table of trials that are taken from a report."""
        hyperparameters = self.experiment["columns"] if self.experiment else ()
        return ["score", "epoch", "step", *hyperparameters, *metric_names(self._metrics)]
