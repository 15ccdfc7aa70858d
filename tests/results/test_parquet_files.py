import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from raytune_pipe.results.files import write_atomically
from raytune_pipe.results.parquet_files import data_of, write_table

RNG = np.random.default_rng(0)
LENGTHS = {
    "grows": [0, 1, 10, *(int(20 * 1.15**step) for step in range(30))],
    "stays": [100] * 12,
    "jumps": [10, 5_000, 5_010, 40, 90_000, 90_100],
}


def table_of(rows: int) -> pa.Table:
    columns = {"number": np.arange(rows), "loss": RNG.normal(size=rows), "text": ["a"] * rows}
    return pa.table(columns).replace_schema_metadata({"rows": str(rows)})


def publish(table: pa.Table, path: Path) -> int:
    """Replace the file; its size now."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
    previous = data_of(path, digest)
    write_atomically(path, lambda file: write_table(table, previous, file))
    return path.stat().st_size


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_a_reader_that_has_the_old_footer_reads_the_old_table(
    lengths: list[int], tmp_path: Path
) -> None:
    path, before = tmp_path / "x.parquet", table_of(lengths[0])
    publish(before, path)
    for rows in lengths[1:]:
        old = ds.ParquetFileFormat().make_fragment(str(path), LocalFileSystem())
        schema = old.physical_schema  # reads the footer; the data are read from the next file
        table = table_of(rows)
        publish(table, path)
        assert old.to_table(schema=schema).equals(before)
        assert pq.read_table(path, page_checksum_verification=True).equals(table)
        assert pq.read_schema(path).metadata[b"rows"] == str(rows).encode()
        assert len(pd.read_parquet(path)) == rows
        before = table


@pytest.mark.parametrize("name", ["grows", "stays"])
def test_a_file_has_three_times_its_data_at_most(name: str, tmp_path: Path) -> None:
    for rows in LENGTHS[name]:
        table = table_of(rows)
        alone = io.BytesIO()
        write_table(table, None, alone)
        assert publish(table, tmp_path / "x.parquet") <= 3 * len(alone.getvalue())


def test_what_is_not_as_its_checksum_says_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    assert data_of(path, "0" * 64) is None
    path.write_bytes(b"PAR1 and no more")
    assert data_of(path, "0" * 64) is None
    assert data_of(path, hashlib.sha256(path.read_bytes()).hexdigest()) is None
    assert data_of(path, None) is None
