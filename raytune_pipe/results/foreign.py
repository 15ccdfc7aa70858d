"""A run directory that another program wrote: plain Parquet tables and an ``experiment.yaml``.

What the tables need is in ``docs/results.md``; every other column of ours is null if it is missing.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from raytune_pipe.base import ResultsError
from raytune_pipe.results.described import objective_of, read_mapping, space_of
from raytune_pipe.results.events import SCHEMA_VERSION, ColumnType, ExperimentEvent
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.journal import JOURNAL
from raytune_pipe.results.schema import (
    file_metadata,
    lineage_schema,
    read_file_metadata,
    reports_schema,
    trials_schema,
)
from raytune_pipe.results.tables import Tables
from raytune_pipe.search_space import SearchSpace

EXPERIMENT = "experiment.yaml"


def is_foreign(folder: Path) -> bool:
    """Whether the folder holds tables that are not ours, with an experiment beside them."""
    trials = folder / "trials.parquet"
    if (folder / JOURNAL).exists() or not (trials.is_file() and (folder / EXPERIMENT).is_file()):
        return False
    try:
        with storage_errors(trials):
            return "schema_version" not in read_file_metadata(pq.read_schema(trials))
    except (ResultsError, ValueError):
        return False  # what is wrong with it is told where tables are read


def foreign_tables(folder: Path) -> Tables:
    """The tables with all our columns, each of our type.

    Raises:
        ConfigError: the experiment lacks a search space or an objective, or they are not valid.
        ResultsError: a table cannot be read, or lacks what it needs.
    """
    experiment = read_mapping(folder / EXPERIMENT)
    space = space_of(experiment, folder / EXPERIMENT)
    objective = objective_of(experiment, folder / EXPERIMENT)
    trials, reports = _read(folder / "trials.parquet"), _read(folder / "reports.parquet")
    _complete(trials, reports, space, objective, folder)
    event: ExperimentEvent = {
        "event": "experiment",
        "schema_version": SCHEMA_VERSION,
        "package_version": "",
        "experiment": experiment,
        "space": space.to_mappings(),
        "columns": {one.name: _column_type(trials[one.name]) for one in space},
        "objective": objective,
        "time": time.time(),
    }
    lineage = folder / "lineage.parquet"
    frames = (trials, reports, _read(lineage) if lineage.is_file() else pd.DataFrame())
    schemas: tuple[Callable[[list[str]], pa.Schema], ...] = (
        lambda metrics: trials_schema(event, metrics),
        lambda metrics: reports_schema(event, metrics),
        lambda _metrics: lineage_schema(),
    )
    names = (folder / f"{name}.parquet" for name in Tables._fields)
    metadata = file_metadata(event, 0, 0)
    return Tables(
        *(
            _to_table(
                frame, _distinct(schema(_metrics(frame, schema([])))), file
            ).replace_schema_metadata(metadata)
            for frame, schema, file in zip(frames, schemas, names, strict=True)
        )
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        with storage_errors(file), file.open("rb") as opened:
            frame: pd.DataFrame = pq.read_table(opened).to_pandas(types_mapper=pd.ArrowDtype)
    except (ResultsError, ValueError) as error:
        raise ResultsError(f"{file}: must be a whole Parquet file, but got: {error}") from error
    return frame.reset_index(drop=frame.index.name is None)


def _complete(
    trials: pd.DataFrame,
    reports: pd.DataFrame,
    space: SearchSpace,
    objective: dict[str, str],
    folder: Path,
) -> None:
    """Add what follows from other columns: scores, counts and the values in force."""
    _require(trials, ["trial_id", "status", *space.names], folder / "trials.parquet")
    _require(reports, ["trial_id", "report", "epoch"], folder / "reports.parquet")
    sign = -1.0 if objective["mode"] == "max" else 1.0
    for frame, name in ((trials, "trials"), (reports, "reports")):
        if "score" not in frame:
            _require(frame, [objective["metric"]], folder / f"{name}.parquet")
            frame["score"] = sign * frame[objective["metric"]]
    if trials["trial_id"].duplicated().any():
        raise ResultsError(f"{folder / 'trials.parquet'}: every trial_id must stand in one row")
    for name in space.names:
        if name not in reports:
            by_trial = trials.set_index("trial_id")[name]
            reports[name] = reports["trial_id"].map(by_trial)
    for name in ("segment", "attempt"):
        if name not in reports:
            reports[name] = 0
    ids = trials["trial_id"]
    of_trial = reports.groupby("trial_id")
    if "reports" not in trials:
        trials["reports"] = ids.map(of_trial.size()).fillna(0)
    if "epoch" not in trials:
        trials["epoch"] = ids.map(of_trial["epoch"].max())
    if "best_report" not in trials:
        scores = reports[np.isfinite(reports["score"].to_numpy(dtype=float, na_value=np.nan))]
        best = scores.sort_values("score", kind="stable").groupby("trial_id")["report"].first()
        trials["best_report"] = ids.map(best)


def _require(frame: pd.DataFrame, names: list[str], file: Path) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise ResultsError(
            f"{file}: must have the columns {', '.join(names)}, but lacks {', '.join(missing)}; "
            "see docs/results.md"
        )


def _column_type(column: Any) -> ColumnType:
    values = column.dropna()
    if pd.api.types.is_bool_dtype(values.dtype):
        return "bool"
    if pd.api.types.is_integer_dtype(values.dtype):
        return "int64"
    return "float64" if pd.api.types.is_numeric_dtype(values.dtype) else "string"


def _metrics(frame: pd.DataFrame, schema: pa.Schema) -> list[str]:
    """Numeric columns that are none of ours: the metrics."""
    others = [str(name) for name in frame.columns if str(name) not in schema.names]
    return [
        name
        for name in others
        if pd.api.types.is_numeric_dtype(frame[name].dtype)
        and not pd.api.types.is_bool_dtype(frame[name].dtype)
    ]


def _distinct(schema: pa.Schema) -> pa.Schema:
    """Without the standard metrics whose name is a hyperparameter's here, such as lr."""
    kept: dict[str, pa.Field] = {}
    for field in schema:
        kept.setdefault(field.name, field)
    return pa.schema(kept.values())


def _to_table(frame: pd.DataFrame, schema: pa.Schema, file: Path) -> pa.Table:
    columns = []
    for field in schema:
        try:
            columns.append(
                pa.array(frame[field.name], from_pandas=False).cast(field.type)
                if field.name in frame
                else pa.nulls(len(frame), field.type)
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise ResultsError(
                f"{file}: column {field.name} must be of type {field.type}, but got: {error}"
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)
