"""Runs in a bucket, as a helper on a head tells of them whose disk is another one now."""

from pathlib import Path

import pytest

from raytune_pipe.results.locations import local_folder
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.job_side import describe, find_run, folder_of
from tests.results.conftest import SGD, experiment, plan


@pytest.fixture
def storage(bucket: str) -> str:
    """The URI of a bucket with the run ``small`` of the job ``small-1``."""
    begun = experiment("last")
    assert begun["event"] == "experiment"
    begun["job"] = "small-1"
    with RunDirectory.claim(bucket, "small") as run:
        run.journal.append(begun, plan("00000", SGD))
        run.rebuild()
        run.begin_copying(3600)
    return bucket


def test_a_run_is_where_its_driver_writes_as_long_as_that_is_there(storage: str) -> None:
    folder = local_folder(f"{storage}/small")
    assert folder_of(f"{storage}/small") == find_run(storage, "small", "small-1") == folder
    assert describe(folder)["path"] == str(folder)


def test_a_run_whose_disk_is_gone_is_told_from_the_bucket(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    found = find_run(storage, "small", "small-1")
    assert found is not None
    assert describe(found)["path"] == f"{storage}/small"  # what `resume` is given
    assert describe(folder_of(f"{storage}/small"))["name"] == describe(found)["name"]
    assert find_run(storage, "small", "small-2") is None
    assert find_run(storage, "other", "small-1") is None
    assert not (tmp_path / "elsewhere").exists()
