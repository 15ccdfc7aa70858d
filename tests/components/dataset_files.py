"""Files of every format that a dataset reads, as their usual writers make them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.datasets_arrays import Arrays
from raytune_pipe.components.datasets_binary import Cifar10, Idx
from raytune_pipe.components.datasets_images import ImageFolder
from raytune_pipe.components.datasets_parquet import Parquet
from raytune_pipe.components.datasets_text import Text

CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
IDX_TEST_NAMES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def arrays(folder: Path, **settings: Any) -> Arrays:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(90, 4)), np.repeat([0, 1, 2], [60, 20, 10])
    np.savez(folder / "own.npz", x=x, y=y)
    return Arrays(path=str(folder / "own.npz"), **settings)


def table() -> dict[str, Any]:
    draw = np.random.default_rng(1)
    return {
        "age": draw.integers(18, 90, 90),
        "height": draw.normal(170, 10, 90),
        "city": draw.choice(["Oslo", "Lima", "Pune"], 90),
        "grade": pa.array(draw.choice(["a", "b"], 90)).dictionary_encode(),
        "member": draw.random(90) < 0.5,
        "kind": np.repeat(["cat", "dog", "owl"], [60, 20, 10]),
    }


def parquet(folder: Path, **settings: Any) -> Parquet:
    pq.write_table(pa.table(table()), folder / "own.parquet", write_page_checksum=True)
    settings = {"targets": ("kind",)} | settings
    return Parquet(path=str(folder / "own.parquet"), **settings)


def image_folder(folder: Path, **settings: Any) -> ImageFolder:
    draw = np.random.default_rng(2)
    for name, count in {"cat": 40, "dog": 20}.items():
        (folder / "own" / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            suffix = "png" if number % 2 else "jpg"
            Image.fromarray(pixels).save(folder / "own" / name / f"{number}.{suffix}")
    return ImageFolder(path=str(folder / "own"), **settings)


def idx_bytes(array: "np.ndarray[Any, Any]") -> bytes:
    codes = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
    header = struct.pack(">HBB", 0, codes[array.dtype.str[1:]], array.ndim)
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return header + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def idx(folder: Path, *, packed: bool = True, **settings: Any) -> Idx:
    draw = np.random.default_rng(3)
    for names, count in ((IDX_NAMES, 60), (IDX_TEST_NAMES, 20)):
        images = draw.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        for name, array in zip(names, (images, labels), strict=True):
            content = idx_bytes(array)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (folder / name).write_bytes(content)
    return Idx(path=str(folder), **settings)


def cifar10(folder: Path, *, records: int = 20, **settings: Any) -> Cifar10:
    """As small as `CIFAR_RECORDS` is made in the tests."""
    draw = np.random.default_rng(4)
    for name in CIFAR_FILES:
        content = draw.integers(0, 256, (records, 3073), dtype=np.uint8)
        content[:, 0] = np.arange(records) % 10
        (folder / name).write_bytes(content.tobytes())
    return Cifar10(path=str(folder), **settings)


def text(folder: Path, **settings: Any) -> Text:
    (folder / "own.txt").write_text("The owl and the pussycat went to sea. " * 20)
    return Text(path=str(folder / "own.txt"), **{"length": 10} | settings)


OWN: dict[str, Callable[..., Dataset]] = {
    "arrays": arrays,
    "parquet": parquet,
    "image_folder": image_folder,
    "idx": idx,
    "cifar10": cifar10,
}
"""Makes a dataset of files, which are put into the folder."""
