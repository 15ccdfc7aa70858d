from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets_arrays import Arrays

X = np.random.default_rng(0).normal(size=(40, 3))
CLASSES = np.arange(40) % 4


def written(folder: Path, **arrays: Any) -> Arrays:
    np.savez(folder / "own.npz", **arrays)
    return Arrays(path=str(folder / "own.npz"))


def users_split(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        arrays |= {f"x_{part}": X, f"y_{part}": CLASSES}
    return arrays | changes


def test_whole_arrays_are_split(tmp_path: Path) -> None:
    data = written(tmp_path, x=X, y=CLASSES).load()
    assert [len(split.inputs) for split in (data.train, data.validation, data.test)] == [24, 8, 8]
    assert (data.task.kind, data.task.outputs) == ("classification", 4)


def test_the_users_split_is_kept(tmp_path: Path) -> None:
    data = written(tmp_path, **users_split(x_test=X[:10], y_test=CLASSES[:10])).load()
    assert torch.equal(data.test.inputs, data.train.inputs[:10])
    assert data.test.targets.tolist() == CLASSES[:10].tolist()


def test_numbers_are_regressed_on(tmp_path: Path) -> None:
    data = written(tmp_path, x=X.astype(np.int16), y=X[:, 0]).load()
    assert data.task.kind == "regression"
    assert data.train.targets.shape == (24, 1)


def test_a_relative_path_is_recorded_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Arrays(path="own.npz").path == str(tmp_path / "own.npz")


WITH_NAN = np.where(np.arange(40) == 3, np.nan, 1.0)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "keys": ({"x": X, "labels": CLASSES}, r"hold either x, y or x_train, .* but holds labels, x;"),
    "empty": ({}, "but holds nothing;"),
    "length": ({"x": X, "y": CLASSES[:-1]}, "as many x as y, at least one, but has 40 and 39;"),
    "no samples": ({"x": X[:0], "y": CLASSES[:0]}, "at least one, but has 0 and 0;"),
    "flat": ({"x": X[:, 0], "y": CLASSES}, r"x as \[samples, features, ...\], but .* \[40\];"),
    "deep": (
        {"x": X, "y": X[:, :, None]},
        r"y as \[samples\] or .* but its shape is \[40, 3, 1\];",
    ),
    "text": ({"x": X, "y": np.full(40, "cat")}, "hold numbers in y, but holds <U3;"),
    "nan": ({"x": X, "y": WITH_NAN}, "hold finite numbers in y, but 1 of 40 are not;"),
    "too large": ({"x": X, "y": X[:, 0] + 1e39}, "hold finite numbers in y, but 40 of 40 are"),
    "no features": ({"x": X[:, :0], "y": CLASSES}, r"x as \[samples, features, .*\[40, 0\];"),
    "negative": ({"x": X, "y": CLASSES - 1}, "count its classes from 0, but has a class -1;"),
    "one class": ({"x": X, "y": 0 * CLASSES}, "two classes at least .* but has class 0 alone;"),
    "one class to train on": (
        users_split(y_train=np.full(40, 2)),
        "two classes at least to train on, but has class 2 alone;",
    ),
    "unseen": (users_split(y_test=CLASSES + 1), "every class in its training part, but class 4"),
    "types": (users_split(y_test=X[:, 0]), "all targets as integers or none"),
    "widths": (users_split(x_test=X[:, :2]), r"samples of one shape in x_train, .*\[2\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_refused(tmp_path: Path, name: str) -> None:
    arrays, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, **arrays).load()


def test_a_pickled_array_is_never_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allow_pickle"):
        written(tmp_path, x=X, y=np.array([{}] * 40, dtype=object)).load()


def test_what_is_no_npz_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with pytest.raises(ConfigError, match=r"path must be an \.npz file"):
        Arrays(path=str(path)).load()
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(ConfigError, match=r"path must be an \.npz file"):
        Arrays(path=str(path)).load()
    np.savez(path, x=X, y=CLASSES)
    whole = path.read_bytes()
    for size in (0, 10, 300, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"path must be an \.npz file"):
            Arrays(path=str(path)).load()
