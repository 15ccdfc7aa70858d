import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def exp(tmp_path: Path) -> Path:
    """A Ray Tune experiment of two trials."""
    for number, lr in enumerate([0.1, 0.01]):
        folder = tmp_path / "exp" / f"train_abc_{number:05d}_{number}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"opt": {"lr": lr}}))
        row = {"loss": lr, "training_iteration": 1, "trial_id": f"abc_{number:05d}"}
        (folder / "result.json").write_text(json.dumps(row) + "\n")
    return tmp_path / "exp"


def words(exp: Path) -> list[str]:
    where = ["--storage", str(exp.parent / "results")]
    return ["import", "ray", str(exp), "--metric", "loss", "--mode", "min", *where]


def test_a_folder_becomes_a_run_and_its_name_is_taken(command: Command, exp: Path) -> None:
    space = exp / "space.yaml"
    space.write_text("search_space: {opt.lr: {kind: log_uniform, low: 0.001, high: 1.0}}")
    result = command(*words(exp), "--space", space)
    path = exp.parent / "results" / "exp"
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{path}: 2 trials and 2 reports from Ray Tune, exp\n")
    assert result.stdout.endswith(f"next: raytune-pipe analyze {path}\n")
    assert command(*words(exp), "--space", space).exit_code == 4
    again = command(*words(exp), "--space", space, "--new", "--json")
    assert json.loads(again.stdout)["path"] == f"{path}-2"


def test_without_a_space_nothing_is_made(command: Command, exp: Path) -> None:
    result = command(*words(exp))
    assert result.exit_code == 2
    assert "opt.lr: {kind: uniform, low: 0.01, high: 0.1}" in result.stderr
    assert not (exp.parent / "results").exists()
