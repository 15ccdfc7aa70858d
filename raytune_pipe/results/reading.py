"""Reading a run back, with nothing but its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from raytune_pipe.base import ResultsError
from raytune_pipe.results.events import SCHEMA_VERSION
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.schema import read_file_metadata
from raytune_pipe.results.tables import TableFold, Tables
from raytune_pipe.search_space import SearchSpace


@dataclass(frozen=True)
class Results:
    """What a run has found, as tables with Arrow types: null (does not apply) is not NaN."""

    trials: pd.DataFrame
    """One row a trial that has begun."""
    reports: pd.DataFrame
    """One row a report, with the hyperparameters in force."""
    lineage: pd.DataFrame
    """One row a decision and hyperparameter that it changed."""
    experiment: dict[str, Any]
    """The resolved experiment, plain values."""
    space: SearchSpace
    objective: dict[str, str]
    """metric, mode (min or max), at (last or best)."""
    path: Path


def read_results(path: str | Path) -> Results:
    """The results of the run in this folder, finished or not, as they were last published.

    A run that was killed before it published for the first time is read from its journal.

    Raises:
        ResultsError: the folder is missing, is not a run's, is damaged, or is of a later version.
    """
    folder = Path(path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing there"
        raise ResultsError(
            f"{folder}: must be the folder of a run, such as results/NAME, but got {found}"
        )
    files = [folder / f"{name}.parquet" for name in Tables._fields]
    if all(file.is_file() for file in files):
        tables = Tables(*(_read_table(file) for file in files))
    elif (folder / JOURNAL).is_file():
        tables = _rebuild(folder / JOURNAL)
    else:
        raise ResultsError(
            f"{folder}: must be the folder of a run, with trials.parquet, reports.parquet and "
            "lineage.parquet, but these are not there; name the folder that the launch printed"
        )
    trials, reports, lineage = (_to_pandas(table) for table in tables)
    about = trials.attrs
    return Results(
        trials=trials,
        reports=reports,
        lineage=lineage,
        experiment=about["experiment"],
        space=SearchSpace.from_mappings(about["space"]),
        objective=about["objective"],
        path=folder,
    )


def _read_table(file: Path) -> pa.Table:
    try:
        with storage_errors(file):
            table = pq.read_table(file, page_checksum_verification=True)
            version = read_file_metadata(table.schema).get("schema_version")
    except (ResultsError, ValueError) as error:
        raise ResultsError(
            f"{file}: must be a whole Parquet file, but got: {error}; delete it and its two "
            "siblings, and they are read from the journal"
        ) from error
    if version is None:
        raise ResultsError(f"{file}: must be a table of raytune-pipe, but its metadata is not")
    _require_known(version, file)
    return table


def _rebuild(journal: Path) -> Tables:
    fold = TableFold()
    for event in read_events(journal):
        if event["event"] == "experiment":
            _require_known(event["schema_version"], journal)
        fold.add(event)
    return fold.tables()


def _require_known(version: int, file: Path) -> None:
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"{file}: must be of schema version {SCHEMA_VERSION} at most, but got {version}; "
            "read it with a later version of raytune-pipe"
        )


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.attrs.update(read_file_metadata(table.schema))
    return frame
