import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe.results.lock import take_lock

Command = Callable[..., Result]


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may damage."""
    return shutil.copytree(run, tmp_path / "copy")


def test_a_whole_run_is_ok(command: Command, run: Path) -> None:
    result = command("verify", run)
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: ")
    assert result.stdout.endswith(f"files checked\nnext: raytune-pipe analyze {run}\n")


def test_a_damaged_table_is_told_and_repaired(command: Command, copy: Path) -> None:
    table = copy / "trials.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    result = command("verify", copy)
    assert result.exit_code == 5
    assert result.stdout.startswith("repairable: trials.parquet: must have the SHA-256 that ")
    assert "\n1 problem: " in result.stdout
    assert result.stdout.endswith(f"next: raytune-pipe verify {copy} --repair\n")
    result = command("verify", copy, "--repair")
    assert result.exit_code == 0
    assert result.stdout.startswith("repaired: trials.parquet: must have the SHA-256 that ")
    assert "\nok: " in result.stdout
    assert table.read_bytes() == whole


def test_a_damaged_checkpoint_is_told_as_json(command: Command, copy: Path) -> None:
    checkpoint = next(copy.rglob("2.pt"))
    checkpoint.write_bytes(b"")
    result = command("verify", copy, "--json")
    assert result.exit_code == 5
    found = json.loads(result.stdout)
    [problem] = found["problems"]
    assert problem["path"] == str(checkpoint.relative_to(copy))
    assert not problem["repairable"]
    assert result.stderr == f"next: raytune-pipe analyze {copy}\n"


def test_a_run_that_goes_on_is_not_repaired(command: Command, copy: Path) -> None:
    take_lock(copy)
    result = command("verify", copy, "--repair")
    assert result.exit_code == 4
    assert "only one process may write to a run" in result.stderr


def test_a_folder_that_is_no_run(command: Command, tmp_path: Path) -> None:
    result = command("verify", tmp_path)
    assert result.exit_code == 5
    assert "must be the folder of a run" in result.stderr
