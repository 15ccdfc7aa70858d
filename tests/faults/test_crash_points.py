"""A crash at any operation on the files of a run: nothing told to be on disk is lost."""

import os
from pathlib import Path

import pytest

from benchmarks.crash_points import SCHEDULERS, recover_all
from benchmarks.simulated_disk import put, recorded

EVERY = 4
"""The crashes taken here, every so manyth; `python -m benchmarks.storage_faults` takes all."""


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_crash_at_any_operation_loses_and_doubles_nothing(scheduler: str, tmp_path: Path) -> None:
    found, crashes = recover_all(scheduler, tmp_path, every=EVERY)
    assert found.wrong == []
    assert (found.lost, found.duplicated) == (0, 0)
    assert crashes > 300
    assert sum(found.points.values()) == -(-crashes // EVERY)
    assert {*found.points} == {"clean", "torn", "dropped", "names kept"}
    assert found.before_any_plan < 15
    assert found.acknowledged > 500


def test_the_disk_keeps_what_was_flushed_and_the_names_that_were(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    storage.mkdir()
    with recorded(storage) as recording:
        file = storage / "a"
        file.write_bytes(b"12")
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.fsync(descriptor)
        os.write(descriptor, b"34")
        file.rename(storage / "b")
        folder = os.open(storage, os.O_RDONLY)
        os.fsync(folder)
        recording.told()
        os.ftruncate(descriptor, 1)
        (storage / "b").unlink()
        for each in (descriptor, folder):
            os.close(each)
    crashes = list(recording.crashes())
    everything = [crash.image for crash in crashes]
    for expected in ({}, {"a": b""}, {"a": b"1"}, {"a": b"12"}, {"a": b"123"}, {"a": b"1234"}):
        assert expected in everything
    assert {"b": b"1234"} in everything
    assert {"b": b"12"} in everything  # its name was flushed, its end never
    assert {"b": b"1"} in everything
    assert not any("a" in crash.image for crash in crashes if crash.told)
    assert {} in [crash.image for crash in crashes if crash.told]  # deleted in the end
    put({"x": None, "x/y": b"z"}, tmp_path / "put")
    assert (tmp_path / "put" / "x" / "y").read_bytes() == b"z"
