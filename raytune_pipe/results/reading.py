"""Reading a run back, with nothing but its folder."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from raytune_pipe.base import ResultsError
from raytune_pipe.results.bucket_runs import kept_copy
from raytune_pipe.results.files import storage_errors
from raytune_pipe.results.foreign import foreign_tables, is_foreign
from raytune_pipe.results.journal import JOURNAL, read_events, require_known_version
from raytune_pipe.results.locations import is_uri
from raytune_pipe.results.lock import is_held
from raytune_pipe.results.schema import read_file_metadata
from raytune_pipe.results.tables import TableFold, Tables
from raytune_pipe.search_space import SearchSpace


@dataclass(frozen=True)
class Results:
    """What a run has found, as tables with Arrow types: null (does not apply) is not NaN."""

    trials: pd.DataFrame
    """One row a trial that has begun.

    Score, metrics, epoch, step and hyperparameters are those at its scored report (the last or the
    best one, as the objective says); counts and ``time_s`` are of the whole trial.
    """
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
    """The results of the run in this folder or at this URI, finished or not, all of one moment.

    A run that goes on is read as it was last published. The journal is read instead where that
    cannot be had: tables are missing or were being replaced, or the run was killed after events
    that it had not published yet. Of a run in a bucket the ``path`` is a copy, deleted when this
    process ends; checkpoints are fetched into it when they are asked for.

    Raises:
        ResultsError: the folder is missing, is not a run's, is damaged, or is of a later version.
    """
    folder = kept_copy(str(path)) if is_uri(str(path)) else Path(path)
    with storage_errors(folder):
        if not folder.is_dir():
            raise ResultsError(
                f"{folder}: must be the folder of a run, such as results/NAME, but got "
                + _what_is_there(folder)
            )
        tables = foreign_tables(folder) if is_foreign(folder) else _current(folder)
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


def _what_is_there(folder: Path) -> str:
    """What stands where a folder should."""
    if folder.exists():
        return "a file"
    return "a link that leads nowhere" if folder.is_symlink() else "nothing there"


def _published(folder: Path) -> Tables | None:
    """The tables as they lie there; None where one is missing."""
    files = [folder / f"{name}.parquet" for name in Tables._fields]
    if not all(file.is_file() for file in files):
        return None
    return Tables(*(_read_table(file) for file in files))


def _read_table(file: Path) -> pa.Table:
    try:
        # Given a path, it would open it twice, with another file there in between at times.
        with storage_errors(file), file.open("rb") as opened:
            table = pq.read_table(opened, page_checksum_verification=True)
            version = read_file_metadata(table.schema).get("schema_version")
    except (ResultsError, ValueError) as error:
        raise ResultsError(
            f"{file}: must be a whole Parquet file, but got: {error}; delete it and its two "
            "siblings, and they are read from the journal"
        ) from error
    if version is None:
        raise ResultsError(f"{file}: must be a table of raytune-pipe, but its metadata is not")
    require_known_version(version, file)
    return table


def _current(folder: Path) -> Tables:
    """The tables of one moment: the last one, or where the run goes on, that of the newest table.

    Then a later read never shows less, though the journal goes on before the tables do.
    """
    tables = _published(folder)
    if tables is None:
        rebuilt = _rebuild(folder)
        tables = _published(folder)  # the first ones may have come meanwhile
        if tables is None:
            return rebuilt
    ends = {read_file_metadata(table.schema).get("journal_bytes", 0) for table in tables}
    journal = folder / JOURNAL
    # The length alone tells whether there is more in the journal, however long it is.
    if journal.is_file() and journal.stat().st_size > max(ends) and not is_held(folder):
        return _rebuild(folder)
    return tables if len(ends) == 1 else _rebuild(folder, max(ends))


def _rebuild(folder: Path, until_bytes: float = math.inf) -> Tables:
    """The tables as the journal tells them, up to where it had so many bytes."""
    journal = folder / JOURNAL
    if not journal.is_file():
        raise ResultsError(
            f"{folder}: must be the folder of a run, with trials.parquet, reports.parquet and "
            "lineage.parquet of one moment, or else journal.jsonl, but these are not there; name "
            "the folder that the launch printed"
        )
    fold, events = TableFold(), read_events(journal)
    for event in events:
        fold.add(event)
        if events.offset >= until_bytes:
            break
    if fold.experiment is None:
        raise ResultsError(
            f"{journal}: must begin with its experiment, but has no event yet: the launch ended "
            "before its plan was made; launch again"
        )
    return fold.tables(events.offset)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.attrs.update(read_file_metadata(table.schema))
    return frame
