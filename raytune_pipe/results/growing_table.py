"""A table that only grows."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import pyarrow as pa

_CHUNK_ROWS = 2_000
"""Rows kept as Python objects at most; converting that many takes some 20 ms."""


class GrowingTable:
    """Rows in order of arrival, packed into Arrow columns as soon as there are enough of them."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._packed: list[pa.Table] = []
        self._rows: list[Mapping[str, Any]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row; a column that it lacks is null."""
        self._rows.append(row)
        self._count += 1
        if len(self._rows) >= _CHUNK_ROWS:
            self._pack()

    def add_field(self, field: pa.Field) -> None:
        """Add a column, null in the rows so far."""
        self._pack()
        self._schema = self._schema.append(field)

    def to_table(self, schema: pa.Schema) -> pa.Table:
        """All rows, with the columns in the order of ``schema``."""
        self._pack()
        table = pa.concat_tables(
            [self._schema.empty_table(), *self._packed], promote_options="default"
        )
        return table.select(schema.names).cast(schema)

    def _pack(self) -> None:
        if self._rows:
            pick = itemgetter(*self._schema.names)
            empty = dict.fromkeys(self._schema.names)
            values = [pick({**empty, **row}) for row in self._rows]
            columns = zip(self._schema.types, zip(*values, strict=True), strict=True)
            arrays = [pa.array(column, kind) for kind, column in columns]
            self._packed.append(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows = []
