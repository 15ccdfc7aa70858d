"""What a run has published: its tables and its status, read where they fit their checksums."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raytune_pipe.results.checksums import read_checked
from raytune_pipe.results.schema import read_file_metadata
from raytune_pipe.results.status import STATUS, RunStatus, read_status
from raytune_pipe.results.tables import Tables

PUBLISHED = (*(f"{name}.parquet" for name in Tables._fields), STATUS)
"""The names of the files."""


@dataclass
class Published:
    """The files that fit their checksums, read, and the names of the others.

    What a flipped bit has hit is not read: a damaged footer can ask a reader for any size.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    """By name of the file."""
    status: RunStatus | None = None
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def journal_bytes(self) -> int:
        """The length that the journal once had, as far as these tell."""
        ends = [read_file_metadata(table.schema)["journal_bytes"] for table in self.tables.values()]
        if self.status:
            ends.append(self.status.journal_bytes)
        return max(ends, default=0)


def read_published(folder: Path) -> Published:
    """What lies in the folder of a run."""
    published = Published(status=read_status(folder))
    for name in PUBLISHED:
        table = read_checked_table(folder, name) if name != STATUS else None
        if table is not None:
            published.tables[name] = table
        elif not (folder / name).exists():
            published.missing.append(name)
        elif name != STATUS or published.status is None:
            published.changed.append(name)
    return published


def read_checked_table(folder: Path, name: str) -> pa.Table | None:
    """A table; None unless it is as its checksum says, and ours."""
    data = read_checked(folder, name)
    if data is None:
        return None
    try:
        table = pq.read_table(pa.BufferReader(data))
        number_of(table)
    except (OSError, ValueError, KeyError):
        return None
    return table


def number_of(table: pa.Table) -> int:
    """How many events of the journal a table tells of."""
    return int(read_file_metadata(table.schema)["journal_number"])


def are_equal(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same columns, metadata and values; NaN equals NaN, not null."""
    if not one.schema.equals(other.schema, check_metadata=True) or len(one) != len(other):
        return False
    return all(map(_are_equal_columns, one.columns, other.columns))


def _are_equal_columns(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(one.type):
        return bool(one.equals(other))
    nan = pc.is_nan(one)  # Arrow holds NaN unequal to itself
    return bool(
        nan.equals(pc.is_nan(other))
        and pc.if_else(nan, 0.0, one).equals(pc.if_else(nan, 0.0, other))
    )
