"""The Arrow schemas of the tables: typed columns that say what they are, and whose run it was."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from raytune_pipe.base import to_json
from raytune_pipe.results.columns import (
    LINEAGE,
    REPORTS_HEAD,
    REPORTS_TAIL,
    STANDARD_METRICS,
    TRIALS_HEAD,
    TRIALS_TAIL,
    Column,
)
from raytune_pipe.results.events import ExperimentEvent

_TYPES = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
}


def trials_schema(experiment: ExperimentEvent, metrics: Iterable[str]) -> pa.Schema:
    """The columns of ``trials.parquet``."""
    return _schema(TRIALS_HEAD, experiment, metrics, TRIALS_TAIL)


def reports_schema(experiment: ExperimentEvent, metrics: Iterable[str]) -> pa.Schema:
    """The columns of ``reports.parquet``."""
    return _schema(REPORTS_HEAD, experiment, metrics, REPORTS_TAIL)


def lineage_schema() -> pa.Schema:
    """The columns of ``lineage.parquet``."""
    return pa.schema([_field(column) for column in LINEAGE])


def metric_field(name: str) -> pa.Field:
    """The column of a metric."""
    return pa.field(name, pa.float64(), metadata={"role": "metric"})


def metric_names(seen: Iterable[str]) -> list[str]:
    """The metrics in the order of their columns: the standard ones, then the user's by name."""
    return [*STANDARD_METRICS, *sorted(set(seen) - set(STANDARD_METRICS))]


def file_metadata(experiment: ExperimentEvent, number: int, size: int) -> dict[str, str]:
    """What a table says of its run, each entry as JSON, and again for pandas' ``df.attrs``.

    ``number`` is the last event of the journal that the table includes, ``size`` the bytes of the
    journal up to there.
    """
    entries: dict[str, Any] = {
        "schema_version": experiment["schema_version"],
        "package_version": experiment["package_version"],
        "experiment": experiment["experiment"],
        "space": experiment["space"],
        "objective": experiment["objective"],
        "journal_number": number,
        "journal_bytes": size,
    }
    metadata = {name: to_json(entry) for name, entry in entries.items()}
    return {**metadata, "PANDAS_ATTRS": to_json(entries)}


def read_file_metadata(schema: pa.Schema) -> dict[str, Any]:
    """The entries that `file_metadata` wrote; empty for a table that is not ours."""
    return dict(json.loads((schema.metadata or {}).get(b"PANDAS_ATTRS", b"{}")))


def _schema(
    head: Iterable[Column],
    experiment: ExperimentEvent,
    metrics: Iterable[str],
    tail: Iterable[Column],
) -> pa.Schema:
    return pa.schema(
        [
            *(_field(column) for column in head),
            *_hyperparameter_fields(experiment),
            *(metric_field(name) for name in metric_names(metrics)),
            *(_field(column) for column in tail),
        ]
    )


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, _TYPES[column.type], metadata={"role": column.role})


def _hyperparameter_fields(experiment: ExperimentEvent) -> list[pa.Field]:
    searched = {mapping["name"]: mapping for mapping in experiment["space"]}
    fields = []
    for name, column_type in experiment["columns"].items():
        metadata = {"role": "hyperparameter", "searched": to_json(name in searched)}
        for key in ("distribution", "when"):
            if key in searched.get(name, {}):
                metadata[key] = to_json(searched[name][key])
        fields.append(pa.field(name, _TYPES[column_type], metadata=metadata))
    return fields
