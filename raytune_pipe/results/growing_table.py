"""A table that only grows."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

_CHUNK_ROWS = 2_000
"""Rows kept as Python objects at most; converting that many takes some 20 ms."""

Row = TypeVar("Row")


class Constant(NamedTuple):
    """The values of a column that are all the same."""

    value: Any


Columns = Mapping[str, Sequence[Any] | Constant]
"""The values of each column by its name."""


def columns_of_mappings(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Columns:
    """The values of each column; null where a row lacks it."""
    return {name: [row.get(name) for row in rows] for name in names}


class GrowingTable(Generic[Row]):
    """Rows in order of arrival, packed into Arrow columns as soon as there are enough of them.

    ``columns`` gives the values of each named column of some rows.
    """

    def __init__(
        self,
        schema: pa.Schema,
        columns: Callable[[Sequence[Row], Sequence[str]], Columns],
    ) -> None:
        self._schema = schema
        self._columns = columns
        self._packed: list[pa.Table] = []
        self._rows: list[Row] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Row) -> None:
        """Add a row."""
        self._rows.append(row)
        self._count += 1
        if len(self._rows) >= _CHUNK_ROWS:
            self._pack()

    def add_field(self, field: pa.Field) -> None:
        """Add a column, null in the rows so far."""
        self._pack()
        self._schema = self._schema.append(field)

    def change(
        self,
        schema: pa.Schema,
        columns: Callable[[Sequence[Row], Sequence[str]], Columns],
    ) -> None:
        """Have other columns from here on; new ones are null in the rows so far."""
        self._pack()
        packed = pa.concat_tables([self._schema.empty_table(), *self._packed])
        for field in schema:
            if field.name not in packed.column_names:
                packed = packed.append_column(field, pa.nulls(len(packed), field.type))
        self._packed = [packed.select(schema.names).cast(schema)]
        self._schema, self._columns = schema, columns

    def to_table(self, schema: pa.Schema) -> pa.Table:
        """All rows, with the columns in the order of ``schema``."""
        self._pack()
        table = pa.concat_tables(
            [self._schema.empty_table(), *self._packed], promote_options="default"
        )
        return table.select(schema.names).cast(schema)

    def _pack(self) -> None:
        if self._rows:
            columns, count = self._columns(self._rows, self._schema.names), len(self._rows)
            arrays = [_array(columns[field.name], field.type, count) for field in self._schema]
            self._packed.append(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows = []


def _array(values: Sequence[Any] | Constant, kind: pa.DataType, count: int) -> pa.Array:
    if isinstance(values, Constant):
        return pa.repeat(pa.scalar(values.value, kind), count)
    return pa.array(values, kind)


def without_rows(table: pa.Table, positions: Collection[int]) -> pa.Table:
    """The table without some of its rows; only the chunks that hold one of them are copied."""
    if not positions:
        return table
    remaining = sorted(positions, reverse=True)
    batches, begin = [], 0
    for batch in table.to_batches():
        mask = bytearray(b"\1" * len(batch))
        while remaining and remaining[-1] < begin + len(batch):
            mask[remaining.pop() - begin] = 0
        begin += len(batch)
        batches.append(batch.filter(pa.array(map(bool, mask))) if 0 in mask else batch)
    return pa.Table.from_batches(batches, schema=table.schema)
