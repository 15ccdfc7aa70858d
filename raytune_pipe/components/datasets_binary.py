"""Image collections in the binary formats that they are given out in: IDX, and CIFAR-10's."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_reading import UsersPath, check_room, open_file, reason
from raytune_pipe.components.splits import (
    HeldOut,
    class_problems,
    limited,
    not_finite,
    split_training,
    to_data,
)
from raytune_pipe.components.task import Data

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DEFLATE_RATIO = 1032
"""How many bytes a byte of gzip can stand for at most."""

CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)
CIFAR_RECORDS = 10_000
"""In each file; with no header, its size is all that tells a whole one from one cut short."""


class Idx(Component):
    """Images and their classes in four IDX files, as MNIST and its relatives come, gzipped or not.

    The test files are the test part; the validation part is taken from the training files.
    """

    kind: Literal["idx"] = "idx"
    """Name of the dataset."""
    path: UsersPath
    """Folder of the four files; relative to the current folder, recorded absolute."""
    train_images: str = "train-images-idx3-ubyte"
    """Images to train on: the file's name in the folder, with or without ``.gz``."""
    train_labels: str = "train-labels-idx1-ubyte"
    """Their classes, from 0."""
    test_images: str = "t10k-images-idx3-ubyte"
    """Images that are kept for the end."""
    test_labels: str = "t10k-labels-idx1-ubyte"
    """Their classes."""
    split_seed: Seed = 0
    """Fixes which samples are for validation; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the training files' samples that score the trials."""
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """Images [samples, 1, height, width] standardized by the training part; classes stratified.

        Files of two dimensions give tables [samples, features].
        """
        train = self._pair(self.train_images, self.train_labels)
        test = self._pair(self.test_images, self.test_labels)
        if train[0].shape[1:] != test[0].shape[1:]:
            raise ConfigError(
                f"path must hold images of one size, but those of {self.path} are"
                f" {list(train[0].shape[2:])} in training and {list(test[0].shape[2:])} in test;"
                " take the files of one collection"
            )
        for problem in class_problems((train[1], test[1])):
            raise ConfigError(f"{self.path} must {problem}; take the files of one collection")
        parts = split_training(*train, self.validation_fraction, self.split_seed)
        return limited(to_data({**parts, "test": test}), self.max_samples, self.split_seed)

    def _pair(self, images_name: str, labels_name: str) -> "tuple[Array, Array]":
        images_file, labels_file = self._file(images_name), self._file(labels_name)
        images, labels = read_idx(images_file), read_idx(labels_file)
        if images.ndim not in (2, 3) or not images.size:
            raise ConfigError(
                f"{images_file} must hold images [samples, height, width], but its shape is"
                f" {list(images.shape)}; is it the file of the labels?"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind == "f":
            raise ConfigError(
                f"{labels_file} must hold a class for each of {images.shape[0]} images, but holds"
                f" {labels.dtype} of the shape {list(labels.shape)}; take the files of one"
                " collection"
            )
        return (images[:, None] if images.ndim == 3 else images), labels

    def _file(self, name: str) -> Path:
        plain = Path(self.path, name)
        packed = plain.with_name(f"{plain.name}.gz")
        return packed if packed.exists() and not plain.exists() else plain


class Cifar10(Component):
    """60,000 photographs of 32 x 32 pixels in 10 classes: CIFAR-10, from its binary version.

    The test file is the test part; the validation part is taken from the five of training.
    """

    kind: Literal["cifar10"] = "cifar10"
    """Name of the dataset."""
    path: UsersPath
    """Folder of ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``; relative to
    the current folder, recorded absolute."""
    split_seed: Seed = 0
    """Fixes which samples are for validation; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the training files' samples that score the trials."""
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """Images [samples, 3, 32, 32] standardized by the training part; classes stratified."""
        import numpy as np

        files = [Path(self.path, f"data_batch_{number}.bin") for number in range(1, 6)]
        batches = [read_cifar(file) for file in files]
        images = np.concatenate([images for images, _ in batches])
        labels = np.concatenate([labels for _, labels in batches])
        test = read_cifar(Path(self.path, "test_batch.bin"))
        for problem in class_problems((labels, test[1])):
            raise ConfigError(f"{self.path} must {problem}; take the files of one collection")
        parts = split_training(images, labels, self.validation_fraction, self.split_seed)
        return limited(to_data({**parts, "test": test}), self.max_samples, self.split_seed)


def read_idx(path: Path) -> "Array":
    """The array of an IDX file, plain or gzipped; raises ConfigError if it does not hold one.

    The header is two zero bytes, the type, the number of dimensions, and each as 4 bytes; then the
    values follow, all big-endian.
    """
    import numpy as np

    with open_file(path, "an IDX file") as raw:
        packed_size = os.fstat(raw.fileno()).st_size
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if is_packed else raw
        try:
            zeros, code, dimensions = struct.unpack(">HBB", file.read(4))
            if zeros or code not in IDX_TYPES or not dimensions:
                raise ValueError(f"its header begins with {zeros}, {code:#x}, {dimensions}")
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            kind = np.dtype(IDX_TYPES[code])
            size = math.prod(shape) * kind.itemsize
            if size > packed_size * (DEFLATE_RATIO if is_packed else 1):
                raise ValueError(f"its header claims {size} bytes, more than it can hold")
            check_room(path, size)
            # one byte more: what follows the values is as wrong as what is missing
            content = file.read(size + 1)
            if len(content) != size:
                found = "more" if len(content) > size else len(content)
                raise ValueError(f"its header claims {size} bytes, but there are {found}")
        except (OSError, EOFError, ValueError, struct.error, zlib.error, MemoryError) as error:
            raise ConfigError(
                f"path must be an IDX file, such as MNIST's, but got {path} ({reason(error)});"
                " fetch it again"
            ) from error
    array = np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)
    if bad := not_finite(array):
        raise ConfigError(
            f"{path} must hold finite numbers, but {bad} of {array.size} are not; fetch it again"
        )
    return array


def read_cifar(path: Path) -> "tuple[Array, Array]":
    """Images [records, 3, 32, 32] and classes of a file; raises ConfigError if it is not one."""
    import numpy as np

    size = CIFAR_RECORDS * CIFAR_RECORD
    with open_file(path, "a file of CIFAR-10's binary version") as file:
        found = os.fstat(file.fileno()).st_size
        content = file.read(size) if found == size else b""
    if len(content) != size:
        raise ConfigError(
            f"path must hold CIFAR-10's binary version, files of {size} bytes, but {path} has"
            f" {found}; fetch it again (its Python version is pickles, which are not read)"
        )
    records = np.frombuffer(content, "u1").reshape(-1, CIFAR_RECORD)
    labels, images = records[:, 0], records[:, 1:].reshape(-1, *CIFAR_SHAPE)
    if labels.max() > 9:
        raise ConfigError(
            f"{path} must hold classes 0 to 9, but has a class {labels.max()}; fetch it again"
            " (CIFAR-100 has another layout)"
        )
    return images, labels
