"""Parquet files that can be replaced while others read them.

pandas and pyarrow open a file twice: for its footer, which tells where the data lie, and for the
data. In between it may be replaced, so that an old footer must hold in the new file too: a new
file has the data of the one before at their old place, where its own footer does not point.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from raytune_pipe.results.files import digest_of, storage_errors


class Data(NamedTuple):
    """What a Parquet file holds beside its footer."""

    start: int
    """Its place in the file, in bytes."""
    content: bytes


def data_of(path: Path, sha256: str | None) -> Data | None:
    """The data of a file; None where it is not there, not Parquet, or of another SHA-256 (hex)."""
    with storage_errors(path), suppress(pa.ArrowInvalid):
        if sha256 is None or digest_of(path) != sha256:
            return None
        with path.open("rb") as file:
            start, end = _extent(pq.read_metadata(file))
            file.seek(start)
            return Data(start, file.read(end - start))
    return None


def write_table(table: pa.Table, previous: Data | None, file: BinaryIO) -> None:
    """Write a table to an empty file, and keep there what the file before held.

    The new data come first where they fit before the old ones, so that a file has three times the
    size of its data at most as long as these do not shrink.
    """
    if previous and previous.start > len(previous.content):
        image = _image(table, previous, is_first=True)
        if image is not None:
            file.write(image)
            return
    file.write(_image(table, previous, is_first=False))


def _image(table: pa.Table, previous: Data | None, *, is_first: bool) -> Any:
    """The whole file; None where the table does not fit before the previous data.

    Footers count from the start of the file, so that others may write to it as well as the writer.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        if previous and not is_first:
            _put(previous, sink)
        writer.write_table(table)
        if previous and is_first:
            if sink.tell() > previous.start:
                return None
            _put(previous, sink)
    return sink.getvalue()


def _put(data: Data, sink: pa.BufferOutputStream) -> None:
    sink.write(bytes(data.start - sink.tell()))
    sink.write(data.content)


def _extent(metadata: pq.FileMetaData) -> tuple[int, int]:
    """Where the data begin and end."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    # A dictionary comes before the pages that use it; a column without rows has no such page.
    starts = [max(4, chunk.dictionary_page_offset or chunk.data_page_offset) for chunk in chunks]
    sizes = [chunk.total_compressed_size for chunk in chunks]
    return min(starts, default=4), max(map(sum, zip(starts, sizes, strict=True)), default=4)
