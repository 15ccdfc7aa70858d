import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets_images import ImageFolder
from raytune_pipe.components.task import Data
from tests.components.dataset_files import image_folder

DRAW = np.random.default_rng(0)


def put(path: Path, pixels: "np.ndarray[Any, Any] | None" = None, **settings: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = DRAW.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **settings)


def users_split(folder: Path) -> ImageFolder:
    for part, count in {"train": 6, "validation": 3, "test": 2}.items():
        for name in ("cat", "dog"):
            for number in range(count):
                put(folder / part / name / f"{number}.png")
    return ImageFolder(path=str(folder))


def shades(data: Data, label: int) -> list[float]:
    """The different values in the training images of a class."""
    values = data.train.inputs[data.train.targets == label].flatten().tolist()
    return sorted({round(value, 5) for value in values})


@pytest.mark.parametrize(("color", "channels"), [("rgb", 3), ("gray", 1)])
def test_images_are_split_by_class(tmp_path: Path, color: Any, channels: int) -> None:
    data = image_folder(tmp_path, color=color).load()
    assert (data.task.input_shape, data.task.outputs) == ((channels, 6, 8), 2)
    assert data.train.targets.bincount().tolist() == [24, 12]
    assert data.test.targets.bincount().tolist() == [8, 4]


def test_classes_are_the_folders_in_order(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "dark" / f"{number}.png", np.zeros((2, 2), np.uint8))
        put(tmp_path / "light" / f"{number}.png", np.full((2, 2), 255, np.uint8))
    data = ImageFolder(path=str(tmp_path), color="gray").load()
    assert (shades(data, 0), shades(data, 1)) == ([-1.0], [1.0])


def test_the_users_split_is_kept(tmp_path: Path) -> None:
    data = users_split(tmp_path).load()
    assert [len(split.inputs) for split in (data.train, data.validation, data.test)] == [12, 6, 4]


def test_images_are_resized_where_that_is_asked(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "one" / f"{number}.png", np.full((5 + number, 9), number, np.uint8))
        put(tmp_path / "two" / f"{number}.png", np.full((7, 30), 100 + number, np.uint8))
    data = ImageFolder(path=str(tmp_path), size=4, color="gray").load()
    assert data.task.input_shape == (1, 4, 4)
    # one shade each, which resizing keeps
    assert (data.train.inputs.flatten(1).std(1) == 0).all()
    with pytest.raises(ConfigError, match=r"all have one size, but .* \[5, 9\] and .* \[6, 9\]"):
        ImageFolder(path=str(tmp_path)).load()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_8_bits_is_read(tmp_path: Path, mode: str) -> None:
    for number in range(10):
        for name, shade in (("dark", 0), ("light", 255)):
            path = tmp_path / name / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("L", (2, 2), shade).convert(mode).save(path)
    data = ImageFolder(path=str(tmp_path)).load()
    assert (shades(data, 0), shades(data, 1)) == ([-1.0], [1.0])


def test_a_photograph_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    for name in ("a", "b"):
        for number in range(10):
            put(tmp_path / name / f"{number}.jpg", exif=exif)
    assert ImageFolder(path=str(tmp_path)).load().task.input_shape == (3, 8, 6)


def test_16_bits_are_not_cut_to_8(tmp_path: Path) -> None:
    dataset = image_folder(tmp_path)
    put(tmp_path / "own" / "cat" / "deep.png", np.full((6, 8), 40_000, np.uint16))
    with pytest.raises(ConfigError, match=r"deep\.png \(it has the mode I;16, more than 8 bits"):
        dataset.load()


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A file of 70 bytes that claims 100 million pixels, above Pillow's limit for a warning."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    dataset = image_folder(tmp_path)
    (tmp_path / "own" / "cat" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ConfigError, match=r"bomb\.png \(Image size \(100000000 pixels\) exceeds"):
        dataset.load()


def test_an_image_under_another_format_s_name_is_not_read(tmp_path: Path) -> None:
    dataset = image_folder(tmp_path)
    put(tmp_path / "own" / "cat" / "other.png", format="GIF")
    with pytest.raises(ConfigError, match=r"must be a PNG or JPEG image, but got .*other\.png"):
        dataset.load()


def test_pillow_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = image_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"pip install 'raytune-pipe\[images\]'"):
        dataset.load()


def spoiled(folder: Path, how: str) -> ImageFolder:
    dataset = users_split(folder)
    if how == "half a split":
        (folder / "test").rename(folder / "held_out")
    elif how == "another class":
        (folder / "test" / "dog").rename(folder / "test" / "owl")
    elif how == "files beside":
        (folder / "labels.csv").write_text("1\n")
    elif how == "no image":
        (folder / "train" / "cat" / "note.txt").write_text("1\n")
    elif how == "an empty class":
        (folder / "train" / "owl").mkdir()
    elif how == "another size":
        put(folder / "test" / "dog" / "1.png", np.zeros((6, 9), np.uint8))
    elif how == "a part of another size":
        for path in (folder / "test").rglob("*.png"):
            put(path, np.zeros((6, 9), np.uint8))
    elif how == "a folder above":
        (folder / "above").mkdir()
        (folder / "train").rename(folder / "above" / "photographs")
        dataset = ImageFolder(path=str(folder / "above"))
    elif how == "a class alone":
        (folder / "train" / "dog").rename(folder / "test" / "owl")
    elif how == "a file":
        dataset = ImageFolder(path=str(folder / "train" / "cat" / "1.png"))
    return dataset


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("half a split", "train, validation, test, or one for each class, but .* holds held_out, "),
        ("another class", r"class in its training part, but .*owl is of none there \(cat, dog\)"),
        ("files beside", r"nothing but folders, .* holds labels\.csv; put"),
        ("no image", r"PNG or JPEG files in each class's folder, but .*cat holds note\.txt; take"),
        ("an empty class", "files in each class's folder, but .*owl holds nothing; take"),
        ("another size", r"one size, but .* has \[6, 8\] and .*1\.png \[6, 9\] \(height, width\)"),
        ("a part of another size", r"one size, but theirs are .*'test': \[6, 9\]"),
        (
            "a folder above",
            r"folders of two classes at least, but .* holds photographs alone; name",
        ),
        ("a class alone", r"folders of two classes at least, but .* holds cat alone; name"),
        ("a file", r"must be a folder of images, but .* cannot be read \(Not a directory\)"),
    ],
)
def test_what_is_no_folder_of_classes_is_told(tmp_path: Path, how: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spoiled(tmp_path, how).load()


def test_files_that_are_hidden_are_passed_over(tmp_path: Path) -> None:
    dataset = users_split(tmp_path)
    expected = dataset.load()
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "train" / "cat" / ".1.png").write_bytes(b"\0")
    assert torch.equal(dataset.load().train.inputs, expected.train.inputs)
