"""Files that are cut short, or have other bytes in some places: a message, or data all the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError
from raytune_pipe.components import datasets_binary
from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.task import Data
from tests.components import dataset_files as files

Maker = Callable[[Path], Dataset]
DAMAGED: dict[str, tuple[Maker, str]] = {
    "arrays": (files.arrays, "own.npz"),
    "text": (files.text, "own.txt"),
    "parquet": (files.parquet, "own.parquet"),
    "png": (files.image_folder, "own/cat/1.png"),
    "jpeg": (files.image_folder, "own/cat/0.jpg"),
    "idx images": (lambda folder: files.idx(folder, packed=False), files.IDX_NAMES[0]),
    "idx labels": (lambda folder: files.idx(folder, packed=False), files.IDX_NAMES[1]),
    "packed idx": (files.idx, f"{files.IDX_TEST_NAMES[0]}.gz"),
    "cifar10": (files.cifar10, "data_batch_3.bin"),
}
"""A dataset, and the file of it that is damaged."""

CHECKED = ("arrays", "packed idx")
"""Formats with a checksum over all that counts: what is read is what was written."""

each_format = pytest.mark.parametrize("name", DAMAGED)


@pytest.fixture(autouse=True)
def _small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets_binary, "CIFAR_RECORDS", 20)


def loaded(dataset: Dataset) -> Data | None:
    """The data, checked; None where they are refused in one line that names what must hold."""
    refusal = ""
    try:
        data = dataset.load()
    except ConfigError as error:
        refusal = str(error)
    if refusal:
        assert " must " in refusal
        assert "\n" not in refusal
        return None
    for split in (data.train, data.validation, data.test):
        assert len(split.inputs) == len(split.targets) > 0
        assert split.inputs.shape[1:] == data.task.input_shape
        assert split.inputs.isfinite().all()
        assert split.targets.isfinite().all()
        if data.task.kind == "classification":
            assert 0 <= int(split.targets.min()) <= int(split.targets.max()) < data.task.outputs
    return data


def same(ours: Data, theirs: Data) -> bool:
    return torch.equal(ours.train.inputs, theirs.train.inputs) and torch.equal(
        ours.test.inputs, theirs.test.inputs
    )


def changes(size: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Places and what their bytes are changed by; headers and footers are at the ends."""
    ends = st.one_of(st.integers(0, min(64, size - 1)), st.integers(max(0, size - 600), size - 1))
    places = st.one_of(ends, st.integers(0, size - 1))
    return st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=3)


@each_format
def test_flipped_bytes_are_told_or_harmless(name: str, tmp_path: Path) -> None:
    make, damaged = DAMAGED[name]
    dataset, path = make(tmp_path), tmp_path / damaged
    whole, expected = path.read_bytes(), dataset.load()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(changes(len(whole)))
    def check(flips: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for place, change in flips:
            content[place] ^= change
        path.write_bytes(content)
        found = loaded(dataset)
        assert found is None or name not in CHECKED or same(found, expected)

    check()


@each_format
def test_a_file_cut_short_is_told(name: str, tmp_path: Path) -> None:
    make, damaged = DAMAGED[name]
    dataset, path = make(tmp_path), tmp_path / damaged
    whole = path.read_bytes()
    for size in cuts(len(whole)):
        path.write_bytes(whole[:size])
        found = loaded(dataset)
        # a shorter text is a text, unless nothing is left; the end of an image may hold no pixel
        if name not in ("text", "png", "jpeg") or size == 0:
            assert found is None


def cuts(size: int) -> Iterator[int]:
    yield from {*range(0, 20), size // 3, size // 2, *range(size - 12, size)}


@each_format
def test_a_file_that_is_another_is_told(name: str, tmp_path: Path) -> None:
    make, damaged = DAMAGED[name]
    dataset, path = make(tmp_path), tmp_path / damaged
    for content in (b"", b"PK\x03\x04" + b"\xff" * 500, b"\x80\x04\x95" + b"\x8e" * 300):
        path.write_bytes(content)
        assert loaded(dataset) is None
    path.unlink()
    assert loaded(dataset) is None or name in ("png", "jpeg")  # one image less
    path.mkdir()
    assert loaded(dataset) is None
