"""The user's own table, from a Parquet file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_columns import (
    categories_of,
    codes_of,
    decoded,
    is_taken,
    is_text,
)
from raytune_pipe.components.datasets_reading import (
    UsersPath,
    check_room,
    one_line,
    open_file,
    reason,
)
from raytune_pipe.components.splits import (
    PARTS,
    HeldOut,
    is_class,
    limited,
    not_finite,
    pose,
    split_rows,
    standardized,
)
from raytune_pipe.components.task import Data, Split, Task

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

MOST_CATEGORIES = 1000
"""Of one column; names and numbers of rows have more, and say nothing about other rows."""


def _named_apart(targets: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(targets)) < len(targets):
        raise ValueError(f"targets must differ, but got {', '.join(targets)}")
    odd = [name for name in targets if not re.fullmatch(r"[A-Za-z_]\w*", name)]
    if odd and len(targets) > 1:
        raise ValueError(
            "several targets must have names of letters, digits and underscores, which a loss can"
            f" name its terms by, but got {', '.join(map(repr, odd))}; rename the columns"
        )
    return targets


class Parquet(Component):
    """The user's own table in a Parquet file, with one target column or several.

    A target of whole numbers, text, booleans or dictionary values is a class, one of floating-point
    numbers is regressed on, standardized by the training part, so that its squared error is in
    units of its variance there. Several targets are a task of several, by their names. All other
    columns are features: numbers and booleans as they are, text and dictionary values one-hot, by
    the categories of the training part (another one is all zeros); then all are standardized by the
    training part. Nulls are refused: only the user knows what they mean.
    """

    kind: Literal["parquet"] = "parquet"
    """Name of the dataset."""
    path: UsersPath
    """The Parquet file; relative to the current folder, recorded absolute."""
    targets: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_named_apart)]
    """The columns to predict. Of several, each is a task that a loss names its term by."""
    split_seed: Seed = 0
    """Fixes which rows go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the rows that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the rows that is kept for the end."""
    max_samples: Count | None = None
    """At most that many rows of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """Features [rows, width] and targets; stratified by the first target that is a class."""
        import torch

        table = self._read()
        targets = {name: self._target(table, name) for name in self.targets}
        # without a class the first target stands for the number of rows
        strata = next(filter(is_class, targets.values()), targets[self.targets[0]])
        rows = split_rows(strata, self.validation_fraction, self.test_fraction, self.split_seed)
        features = table.drop_columns(list(targets))
        inputs = self._inputs({part: features.take(rows[part]) for part in PARTS})
        width = inputs["train"].shape[1]
        task, posed = _several(
            {name: {part: y[rows[part]] for part in PARTS} for name, y in targets.items()}, width
        )
        splits = {
            part: Split(torch.from_numpy(inputs[part]), torch.from_numpy(posed[part]))
            for part in PARTS
        }
        return limited(Data(**splits, task=task), self.max_samples, self.split_seed)

    def _read(self) -> "pa.Table":
        """The table, with dictionaries decoded, checked for what all columns must hold."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(self.path)
        with open_file(path, "a Parquet file") as file:
            try:
                parquet = pq.ParquetFile(file, page_checksum_verification=True)
                about = parquet.metadata
                groups = [about.row_group(number) for number in range(about.num_row_groups)]
                unpacked = sum(group.total_byte_size for group in groups)
                check_room(path, max(unpacked, 12 * about.num_rows * about.num_columns))
                table = parquet.read()
                table.validate(full=True)
            except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
                raise ConfigError(
                    f"path must be a Parquet file, but got {path} ({reason(error)}); write it with"
                    " pandas.DataFrame.to_parquet, or with pyarrow"
                ) from error
        self._check_columns(table)
        table = pa.table({name: decoded(table.column(name)) for name in table.column_names})
        for name in table.column_names:
            if nulls := table.column(name).null_count:
                self._refuse(f"hold no nulls in {name}, but {nulls} of {table.num_rows} are")
        return table

    def _check_columns(self, table: "pa.Table") -> None:
        names = table.column_names
        twice = sorted({name for name in names if names.count(name) > 1})
        absent = [name for name in self.targets if name not in names]
        if twice:
            self._refuse(f"name each column once, but {', '.join(twice)} is there again")
        if absent:
            listed = ", ".join(names[:20]) or "none"
            self._refuse(
                f"hold the targets {', '.join(self.targets)}, each a column, but its columns are"
                f" {listed}",
            )
        if len(names) == len(self.targets):
            self._refuse("hold a column beside its targets to predict them from, but has none")
        for name in names:
            if not is_taken(table.schema.field(name).type):
                self._refuse(
                    f"hold numbers, booleans, text or dictionary values in {name}, but holds"
                    f" {table.schema.field(name).type}"
                )

    def _refuse(self, problem: str) -> None:
        raise ConfigError(
            f"{self.path} must {one_line(problem)}; write it again, without the columns that are of"
            " no use"
        )

    def _target(self, table: "pa.Table", name: str) -> "Array":
        """Class indices, or numbers as they are."""
        import pyarrow as pa

        column = table.column(name)
        if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
            return self._numbers(name, column)
        classes = categories_of(column)
        if not 2 <= len(classes) <= max(2, len(column) // 2):
            self._refuse(
                f"hold 2 to {max(2, len(column) // 2)} classes in {name}, the half of its rows at"
                f" most, but holds {len(classes)} (floating-point numbers are regressed on)"
            )
        return codes_of(column, classes)

    def _inputs(self, tables: "Mapping[str, pa.Table]") -> "dict[str, Array]":
        """The features of each part, float32 [rows, width], standardized by the training part."""
        import numpy as np

        columns: dict[str, list[Array]] = {part: [] for part in tables}
        for name in tables["train"].column_names:
            if not is_text(tables["train"].schema.field(name).type):
                numbers = {
                    part: self._numbers(name, table.column(name))[:, None]
                    for part, table in tables.items()
                }
            else:
                numbers = self._one_hot(
                    name, {part: table.column(name) for part, table in tables.items()}
                )
            for part, array in standardized(numbers).items():
                columns[part].append(array)
        return {part: np.concatenate(arrays, axis=1) for part, arrays in columns.items()}

    def _numbers(self, name: str, column: "pa.ChunkedArray") -> "Array":
        import pyarrow as pa

        plain = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
        numbers: Array = plain.to_numpy().astype("float64")
        if bad := not_finite(numbers):
            self._refuse(f"hold finite numbers in {name}, but {bad} of {numbers.size} are not")
        return numbers

    def _one_hot(self, name: str, parts: "Mapping[str, pa.ChunkedArray]") -> "dict[str, Array]":
        import numpy as np

        categories = categories_of(parts["train"])
        if len(categories) > MOST_CATEGORIES:
            self._refuse(
                f"hold at most {MOST_CATEGORIES} categories in {name}, but holds {len(categories)}"
            )
        # one byte each until they are standardized
        return {
            part: (codes_of(column, categories)[:, None] == np.arange(len(categories))).astype("u1")
            for part, column in parts.items()
        }


def _several(
    targets: "Mapping[str, Mapping[str, Array]]", width: int
) -> "tuple[Task, dict[str, Array]]":
    """The task of the targets, each by its parts, and they as it takes them."""
    import numpy as np

    posed = {
        name: pose(parts, (width,), standardize_targets=True) for name, parts in targets.items()
    }
    if len(posed) == 1:
        return next(iter(posed.values()))
    tasks = {name: task for name, (task, _) in posed.items()}
    columns = {
        part: np.column_stack([own[part] for _, own in posed.values()]).astype("float32")
        for part in PARTS
    }
    outputs = sum(task.outputs for task in tasks.values())
    return Task("several", (width,), outputs, parts=tasks), columns
