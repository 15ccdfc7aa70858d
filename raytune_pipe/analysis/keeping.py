"""The ranking as a table in the run's folder, ``importance.parquet``."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raytune_pipe.analysis.ranking import Importance
from raytune_pipe.base import to_json
from raytune_pipe.results.files import write_atomically

FILE = "importance.parquet"


def keep_importance(importance: Importance, run: Path) -> Path:
    """Write one row a hyperparameter, most important first; none where nothing was ranked.

    All else that the ranking says is in the file's metadata, and so in pandas' ``df.attrs``.

    Raises:
        ResultsError: the folder cannot be written to.
    """
    table = pa.Table.from_pandas(importance.to_frame().reset_index(), preserve_index=False)
    table = table.set_column(0, "name", table["name"].cast(pa.string()))  # without rows it is null
    said = {**importance.to_mapping(), "above": importance.above}
    metadata = {**(table.schema.metadata or {}), "PANDAS_ATTRS": to_json({"importance": said})}
    table = table.replace_schema_metadata(metadata)
    path = run / FILE
    write_atomically(path, lambda file: pq.write_table(table, file))
    return path
