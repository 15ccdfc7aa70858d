import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]


def test_a_name_that_is_taken_is_refused(command: Command, file: Path, run: Path) -> None:
    journal = (run / "journal.jsonl").read_bytes()
    result = command("launch", file)
    assert result.exit_code == 4
    assert all(way in result.stderr for way in ("--name", "--new", "raytune-pipe analyze"))
    assert (run / "journal.jsonl").read_bytes() == journal


def test_more_than_any_node_has_is_refused(command: Command, file: Path) -> None:
    result = command("launch", file, "--name", "huge", "--set", "resources.cpus=1000000")
    assert result.exit_code == 6
    assert result.stdout == ""


@pytest.mark.parametrize("name", ["../up", "a b"])
def test_a_name_that_is_no_folder_is_refused(command: Command, file: Path, name: str) -> None:
    result = command("launch", file, "--name", name)
    assert result.exit_code == 2
    assert "name: must be" in result.stderr


@pytest.mark.ray
def test_launch_ranks_and_says_what_comes_next(command: Command, file: Path, run: Path) -> None:
    words = ("launch", file, "--new", "--set", "trials=6", "--set", "epochs=1")
    result = command(*words, "--analyze", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    path = run.parent / "small-2"
    assert (found["path"], found["state"], found["trials"]) == (
        str(path),
        "finished",
        {"completed": 6},
    )
    assert found["best"]["value"] > 0
    assert "at least 20 usable trials are needed, but got 6" in found["importance"]["refused"]
    assert result.stderr.count("completed (budget); val_loss") == 6
    assert result.stderr.endswith(f"next: raytune-pipe best {path}\n")
    assert command("analyze", path).exit_code == 3
    shutil.rmtree(path)
