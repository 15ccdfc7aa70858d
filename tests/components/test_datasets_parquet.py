import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets_parquet import Parquet
from raytune_pipe.components.losses_classification import BinaryCrossEntropy
from raytune_pipe.components.losses_several import Term, WeightedSum
from raytune_pipe.components.task import Data, Task

DRAW = np.random.default_rng(0)
NUMBERS = DRAW.normal(50, 9, 40)
COLORS = np.array(["red", "green"] * 20)
CLASSES = np.arange(40) % 4


def written(folder: Path, columns: dict[str, Any], *targets: str, **settings: Any) -> Parquet:
    pq.write_table(pa.table(columns), folder / "own.parquet")
    return Parquet(path=str(folder / "own.parquet"), targets=targets, **settings)


def whole(data: Data) -> torch.Tensor:
    return torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (CLASSES.astype("i2") + 7, 4),
        (CLASSES.astype("u8") * 2**60, 4),
        (COLORS, 2),
        (pa.array(COLORS).dictionary_encode(), 2),
        (pa.array(COLORS, pa.large_string()), 2),
        (CLASSES == 0, 2),
        (pa.array(CLASSES).dictionary_encode(), 4),
    ],
)
def test_all_but_floating_point_targets_are_classes(
    tmp_path: Path, target: Any, classes: int
) -> None:
    data = written(tmp_path, {"x": NUMBERS, "y": target}, "y").load()
    assert data.task == Task("classification", (1,), classes)
    assert set(data.train.targets.tolist()) == set(range(classes))


def test_classes_are_numbered_in_order(tmp_path: Path) -> None:
    names = np.where(NUMBERS > 50, "much", "little")
    data = written(tmp_path, {"x": NUMBERS, "y": names}, "y").load()
    little = data.train.inputs[data.train.targets == 0]
    assert little.max() < data.train.inputs[data.train.targets == 1].min()


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "decimal"])
def test_floating_point_targets_are_standardized_by_the_training_part(
    tmp_path: Path, kind: str
) -> None:
    target: Any = NUMBERS.astype(kind) if kind != "decimal" else None
    if target is None:
        target = pa.array(NUMBERS.round(3)).cast(pa.decimal128(30, 10))
    data = written(tmp_path, {"x": NUMBERS, "y": target}, "y").load()
    assert data.task == Task("regression", (1,), 1)
    # the same column on both sides, scaled by the same part
    torch.testing.assert_close(data.test.targets, data.test.inputs, atol=0.01, rtol=0.01)
    assert data.train.targets.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_several_targets_are_a_task_of_several(tmp_path: Path) -> None:
    columns = {"color": COLORS, "x": NUMBERS, "size": NUMBERS**2, "level": CLASSES}
    data = written(tmp_path, columns, "size", "level", "color").load()
    assert data.task == Task(
        "several",
        (1,),
        7,
        parts={
            "size": Task("regression", (1,), 1),
            "level": Task("classification", (1,), 4),
            "color": Task("classification", (1,), 2),
        },
    )
    own = data.task.parted(torch.zeros(len(data.train.inputs), 7), data.train.targets)
    assert own["level"][1].bincount().tolist() == [6, 6, 6, 6]  # stratified by it
    assert set(own["color"][1].tolist()) == {0, 1}
    assert own["size"][1].mean().item() == pytest.approx(0, abs=1e-6)
    few = written(tmp_path, columns, "size", "level", "color", max_samples=8).load()
    kept = few.task.parted(torch.zeros(8, 7), few.train.targets)
    assert kept["level"][1].bincount().tolist() == [2, 2, 2, 2]


def test_several_labels_of_a_row_have_a_sigmoid_each(tmp_path: Path) -> None:
    labels = {"long": NUMBERS > 50, "red": COLORS == "red", "last": CLASSES == 3}
    data = written(tmp_path, {"x": NUMBERS} | labels, *labels).load()
    terms = {name: Term(loss=BinaryCrossEntropy()) for name in labels}
    outputs = torch.randn(len(data.train.targets), 6)
    found = WeightedSum(terms=terms).build(data.task)(outputs, data.train.targets)
    expected = functional.binary_cross_entropy_with_logits(
        outputs[:, 1::2] - outputs[:, ::2], data.train.targets
    )
    torch.testing.assert_close(found, 3 * expected)
    long, short = (data.train.inputs[data.train.targets[:, 0] == label] for label in (1, 0))
    assert long.min() > short.max()  # true is the second class


def test_text_is_one_hot_by_the_categories_of_the_training_part(tmp_path: Path) -> None:
    shop = np.array(["mine"] * 30 + [f"shop {number}" for number in range(10)])
    data = written(tmp_path, {"shop": shop, "y": CLASSES}, "y").load()
    categories = data.task.input_shape[0]
    # standardized, a one is above its column's mean and a zero below
    ones = (whole(data) > 0).sum(1)
    train = len(data.train.inputs)
    assert ones[:train].eq(1).all()
    assert (data.train.inputs > 0).any(0).all()
    # each shop is in one row: those that training lacks are all zeros
    assert ones[train:].eq(0).sum().item() == 10 - (categories - 1) > 0


def test_features_keep_the_order_of_the_columns(tmp_path: Path) -> None:
    columns = {"b": NUMBERS, "y": CLASSES, "a": COLORS, "c": NUMBERS > 50, "d": CLASSES}
    data = written(tmp_path, columns, "y").load()
    assert data.task.input_shape == (5,)
    torch.testing.assert_close(data.train.inputs[:, 1], -data.train.inputs[:, 2])
    above = data.train.inputs[:, 0] > data.train.inputs[:, 0][data.train.inputs[:, 3] < 0].max()
    assert torch.equal(above, data.train.inputs[:, 3] > 0)


WITH_NULL = pa.array([None, *NUMBERS[1:]])
REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "no target": ({"x": NUMBERS, "z": CLASSES}, ("y",), "targets y, each a column, but .* x, z;"),
    "no feature": ({"y": CLASSES}, ("y",), "hold a column beside its targets"),
    "null": ({"x": WITH_NULL, "y": CLASSES}, ("y",), "no nulls in x, but 1 of 40 are;"),
    "null target": ({"x": NUMBERS, "y": WITH_NULL}, ("y",), "no nulls in y, but 1 of 40 are;"),
    "nan": (
        {"x": np.where(CLASSES == 1, np.nan, 1.0), "y": CLASSES},
        ("y",),
        "hold finite numbers in x, but",
    ),
    "too large": ({"x": NUMBERS * 1e300, "y": CLASSES}, ("y",), "hold finite numbers in x, but"),
    "lines in a name": (
        {"x\ny": WITH_NULL, "y": CLASSES},
        ("y",),
        "hold no nulls in x y, but 1 of 40 are; write it again, without",
    ),
    "time": (
        {"x": pa.array([0] * 40, pa.timestamp("ms")), "y": CLASSES},
        ("y",),
        r"dictionary values in x, but holds timestamp\[ms\];",
    ),
    "list": ({"x": [[1]] * 40, "y": CLASSES}, ("y",), "in x, but holds list<"),
    "bytes": ({"x": [b"a"] * 40, "y": CLASSES}, ("y",), "in x, but holds binary;"),
    "nothing": ({"x": pa.nulls(40), "y": CLASSES}, ("y",), "in x, but holds null;"),
    "one class": ({"x": NUMBERS, "y": ["a"] * 40}, ("y",), "2 to 20 classes in y, .* holds 1 "),
    "a class each": ({"x": NUMBERS, "y": np.arange(40)}, ("y",), "in y, .* but holds 40 "),
    "no rows": ({"x": NUMBERS[:0], "y": CLASSES[:0]}, ("y",), "2 to 2 classes in y"),
    "few rows": ({"x": NUMBERS[:4], "y": NUMBERS[:4]}, ("y",), "part must get a sample, but 4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_refused(tmp_path: Path, name: str) -> None:
    columns, targets, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, columns, *targets, test_fraction=0.1).load()


@pytest.mark.parametrize(
    ("targets", "message"),
    [(("y", "y"), "targets must differ"), (("y", "a b"), "letters, .* but got 'a b'; rename")],
)
def test_names_that_cannot_tell_tasks_apart_are_refused(
    targets: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Parquet(path="own.parquet", targets=targets)


def test_a_single_target_may_have_any_name(tmp_path: Path) -> None:
    assert written(tmp_path, {"x": NUMBERS, "a b": CLASSES}, "a b").load().task.outputs == 4


def test_a_name_in_each_row_is_no_category(tmp_path: Path) -> None:
    columns = {"x": [f"name {row}" for row in range(3000)], "y": np.arange(3000) % 2}
    with pytest.raises(ConfigError, match="at most 1000 categories in x, but holds 1800;"):
        written(tmp_path, columns, "y").load()


def test_a_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(NUMBERS)] * 2 + [pa.array(CLASSES)], ["x", "x", "y"])
    pq.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(ConfigError, match="name each column once, but x is there again;"):
        Parquet(path=str(tmp_path / "own.parquet"), targets=("y",)).load()


def test_what_is_no_parquet_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"path must be a Parquet file, but got .*own\.parquet"):
        Parquet(path=str(path), targets=("y",)).load()


def test_a_table_larger_than_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = written(tmp_path, {"x": np.ones(10_000), "y": np.arange(10_000) % 2}, "y")
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 8, "SC_PAGE_SIZE": 4096}.get)
    assert (tmp_path / "own.parquet").stat().st_size < 8 * 4096
    with pytest.raises(ConfigError, match="must name data that fit into memory"):
        dataset.load()
