import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_pipe.base import ConfigError
from raytune_pipe.components import datasets_binary
from raytune_pipe.components.datasets_binary import Cifar10, Idx, read_idx
from tests.components.dataset_files import (
    CIFAR_FILES,
    IDX_NAMES,
    IDX_TEST_NAMES,
    cifar10,
    idx,
    idx_bytes,
)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_every_type_of_an_idx_file_is_read(tmp_path: Path, kind: str, packed: bool) -> None:
    array = np.random.default_rng(0).normal(0, 30, (3, 4, 5)).astype(kind)
    content = idx_bytes(array)
    (tmp_path / "own").write_bytes(gzip.compress(content) if packed else content)
    found = read_idx(tmp_path / "own")
    assert found.dtype == np.dtype(kind)
    assert np.array_equal(found, array)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_give_their_images(tmp_path: Path, packed: bool) -> None:
    data = idx(tmp_path, packed=packed).load()
    assert [len(split.inputs) for split in (data.train, data.validation, data.test)] == [48, 12, 20]
    assert data.task.input_shape == (1, 5, 4)
    assert data.test.targets.tolist() == [row % 3 for row in range(20)]
    # scaled by one mean and one deviation, since there is one channel
    name = f"{IDX_TEST_NAMES[0]}.gz" if packed else IDX_TEST_NAMES[0]
    pixels = torch.from_numpy(read_idx(tmp_path / name).astype("f4"))
    ours = data.test.inputs[:, 0]
    torch.testing.assert_close(
        (ours - ours.mean()) / ours.std(), (pixels - pixels.mean()) / pixels.std()
    )


def test_idx_files_may_have_other_names(tmp_path: Path) -> None:
    dataset = idx(tmp_path, packed=False)
    (tmp_path / IDX_NAMES[0]).rename(tmp_path / "letters")
    found = Idx(path=dataset.path, train_images="letters").load()
    assert len(found.train.inputs) == 48


SHAPED: dict[str, tuple[str, bytes, str]] = {
    "no header": (IDX_NAMES[0], b"\x00\x00\x08", "must be an IDX file, .* requires a buffer"),
    "text": (IDX_NAMES[0], b"label,pixel", "its header begins with 27745, 0x62, 101"),
    "type": (IDX_NAMES[0], b"\x00\x00\x0a\x01\0\0\0\1\0", "its header begins with 0, 0xa, 1"),
    "short": (
        IDX_NAMES[0],
        idx_bytes(np.zeros((4, 2, 2), "u1"))[:-1],
        "claims 16 bytes, but there are 15",
    ),
    "long": (
        IDX_NAMES[0],
        idx_bytes(np.zeros((4, 2, 2), "u1")) + b"\0",
        "claims 16 bytes, but there are more",
    ),
    "claims much": (
        IDX_NAMES[0],
        struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 2**31),
        f"claims {2**93} bytes, more than it can hold",
    ),
    "claims much, packed": (
        IDX_NAMES[0],
        gzip.compress(struct.pack(">HBB2I", 0, 8, 2, 2**30, 2**10)),
        "claims 1099511627776 bytes, more than it can hold",
    ),
    "labels as images": (
        IDX_NAMES[0],
        idx_bytes(np.zeros(60, "u1")),
        r"must hold images .* is \[60\]; is it the file of the labels",
    ),
    "no images": (IDX_NAMES[0], idx_bytes(np.zeros((0, 2, 2), "u1")), r"shape is \[0, 2, 2\]"),
    "other count": (
        IDX_NAMES[1],
        idx_bytes(np.zeros(59, "u1")),
        r"a class for each of 60 images, but holds uint8 of the shape \[59\]",
    ),
    "no classes": (IDX_NAMES[1], idx_bytes(np.zeros(60, "f4")), "but holds float32 of"),
    "not finite": (
        IDX_NAMES[0],
        idx_bytes(np.full((60, 2, 2), np.nan, "f4")),
        "hold finite numbers, but 240 of 240 are not",
    ),
    "negative": (IDX_NAMES[1], idx_bytes(-np.ones(60, "i1")), "but has a class -1"),
    "gaps": (
        IDX_NAMES[1],
        idx_bytes(np.arange(60).astype("i4") * 10**6),
        "has class 59000000 among 80 samples",
    ),
    "unseen": (
        IDX_TEST_NAMES[1],
        idx_bytes(np.full(20, 9, "u1")),
        "every class in its training part, but class 9 is not",
    ),
    "other size": (
        IDX_TEST_NAMES[0],
        idx_bytes(np.zeros((20, 6, 6), "u1")),
        r"images of one size, .* \[5, 4\] in training and \[6, 6\] in test",
    ),
}


@pytest.mark.parametrize("name", SHAPED)
def test_what_is_no_collection_of_idx_files_is_told(tmp_path: Path, name: str) -> None:
    dataset = idx(tmp_path, packed=False)
    file, content, message = SHAPED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        dataset.load()


def test_an_idx_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be an IDX file, but .*train-images-idx3-ubyte ca"):
        Idx(path=str(tmp_path)).load()


@pytest.fixture
def _small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets_binary, "CIFAR_RECORDS", 20)


@pytest.mark.usefixtures("_small_cifar")
def test_cifar_10_gives_channels_rows_and_columns(tmp_path: Path) -> None:
    dataset = cifar10(tmp_path)
    content = np.zeros((20, 3073), np.uint8)
    content[:, 0] = np.arange(20) % 10
    content[:, 1:1025] = 200  # red
    content[:, 2049 : 2049 + 32] = 100  # the first row of blue
    (tmp_path / CIFAR_FILES[-1]).write_bytes(content.tobytes())
    data = dataset.load()
    assert (data.task.input_shape, data.task.outputs) == ((3, 32, 32), 10)
    assert [len(split.inputs) for split in (data.train, data.validation, data.test)] == [80, 20, 20]
    red, _, blue = data.test.inputs[0]
    assert red.unique().numel() == 1
    assert blue[0].unique().numel() == blue[1:].unique().numel() == 1
    assert blue[0, 0] > blue[1, 0]
    assert data.test.targets.tolist() == [*range(10), *range(10)]


@pytest.mark.usefixtures("_small_cifar")
@pytest.mark.parametrize("change", [-3073, -1, 1, 3073])
def test_cifar_10_of_another_size_is_told(tmp_path: Path, change: int) -> None:
    dataset = cifar10(tmp_path)
    path = tmp_path / "data_batch_2.bin"
    path.write_bytes((path.read_bytes() + bytes(3073))[: 20 * 3073 + change])
    with pytest.raises(ConfigError, match=r"files of 61460 bytes, but .*data_batch_2\.bin has"):
        dataset.load()


@pytest.mark.usefixtures("_small_cifar")
def test_classes_that_cifar_10_does_not_have_are_told(tmp_path: Path) -> None:
    dataset = cifar10(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\x13" * 20 * 3073)
    with pytest.raises(ConfigError, match="must hold classes 0 to 9, but has a class 19;"):
        dataset.load()


def test_the_python_version_of_cifar_10_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02cos\nsystem\n")
    with pytest.raises(ConfigError, match=r"data_batch_1\.bin cannot be read \(No such file"):
        Cifar10(path=str(tmp_path)).load()
