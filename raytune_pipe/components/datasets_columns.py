"""Columns of a table as categories: what types are taken, and the codes of their values."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]


def is_taken(kind: "pa.DataType") -> bool:
    """Whether a column of this type can be a feature or a target."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_taken(kind.value_type) and not pa.types.is_dictionary(kind.value_type)
    types = pa.types
    numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    return is_text(kind) or any(test(kind) for test in numbers)


def is_text(kind: "pa.DataType") -> bool:
    """Whether its values are text, so that each is a category."""
    import pyarrow as pa

    types = pa.types
    return any(
        test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view)
    )


def decoded(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Dictionary values as text, since they are categories whatever their type."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    return column.cast(column.type.value_type).cast(pa.string())


def categories_of(column: "pa.ChunkedArray") -> "pa.Array":
    """The different values, in order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column
    values = pc.unique(plain)
    return values.take(pc.sort_indices(values))


def codes_of(column: "pa.ChunkedArray", categories: "pa.Array") -> "Array":
    """The place of each value among the categories; -1 where it is none of them."""
    import pyarrow.compute as pc

    codes = pc.index_in(column.cast(categories.type), value_set=categories)
    found: Array = pc.fill_null(codes, -1).to_numpy().astype("int64")
    return found
