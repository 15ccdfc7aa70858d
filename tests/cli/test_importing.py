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
    taken = command(*words(exp), "--space", space)
    assert taken.exit_code == 4
    assert "it is taken; choose another name: --name NAME" in taken.stderr  # and no resume
    again = command(*words(exp), "--space", space, "--new", "--json")
    assert json.loads(again.stdout)["path"] == f"{path}-2"


@pytest.fixture
def imported(command: Command, exp: Path) -> Path:
    """The run that the experiment becomes."""
    space = exp / "space.yaml"
    space.write_text("search_space: {opt.lr: {kind: log_uniform, low: 0.001, high: 1.0}}")
    assert command(*words(exp), "--space", space).exit_code == 0
    return exp.parent / "results" / "exp"


@pytest.mark.parametrize("name", ["status", "watch", "stop"])
def test_it_is_shown_as_any_run_that_is_over(command: Command, imported: Path, name: str) -> None:
    result = command(name, imported)
    assert result.exit_code == 0, result.output
    assert "2: 2 completed" in result.stdout
    assert "2, 0 s so far" in result.stdout  # of how many epochs is not known
    assert result.stdout.endswith(f"next: raytune-pipe analyze {imported}\n")


def test_its_logs_are_told(command: Command, imported: Path) -> None:
    result = command("logs", imported)
    assert result.exit_code == 0, result.output
    assert "abc_00001 completed; loss 0.01, epoch 1" in result.stdout


def test_one_that_was_interrupted_is_to_be_analyzed_and_not_resumed(
    command: Command, exp: Path
) -> None:
    state = {"trial_data": [[json.dumps({"trial_id": "abc_00000", "status": "RUNNING"})]]}
    (exp / "experiment_state-1.json").write_text(json.dumps(state))
    space = exp / "space.yaml"
    space.write_text("search_space: {opt.lr: {kind: log_uniform, low: 0.001, high: 1.0}}")
    assert command(*words(exp), "--space", space).exit_code == 0
    path = exp.parent / "results" / "exp"
    status = command("status", path)
    assert "interrupted" in status.stdout
    assert status.stdout.endswith(f"next: raytune-pipe analyze {path}\n")
    resumed = command("resume", path)
    assert resumed.exit_code == 2, resumed.output
    assert f"{path}: must be a run that raytune-pipe launched" in resumed.stderr


def test_a_launch_does_not_go_on_with_it(command: Command, imported: Path) -> None:
    file = imported.parents[1] / "exp.yaml"
    file.write_text(
        "name: exp\ntrial:\n  dataset: {kind: digits}\n  model: {kind: mlp, widths: [8]}\n"
        "  loss: {kind: cross_entropy}\n  optimizer: {kind: sgd, lr: 0.1}\n  epochs: 1\n"
        f"trials: 1\nstorage: {imported.parent}\n"
    )
    result = command("launch", file, "--resume")
    assert result.exit_code == 2, result.output
    assert "but it is made from Ray Tune, exp; go on where it came from" in result.stderr


def test_without_a_space_nothing_is_made(command: Command, exp: Path) -> None:
    result = command(*words(exp))
    assert result.exit_code == 2
    assert "opt.lr: {kind: uniform, low: 0.01, high: 0.1}" in result.stderr
    assert not (exp.parent / "results").exists()


def test_its_best_trial_is_shown_and_nothing_of_it_is_exported(
    command: Command, imported: Path, tmp_path: Path
) -> None:
    shown = command("best", imported)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.endswith(f"next: raytune-pipe analyze {imported}\n")  # and no --export
    for words in (["--export", "out"], ["--schedule", "x.yaml"], ["--test"]):
        result = command("best", imported, words[0], *(tmp_path / one for one in words[1:]))
        assert result.exit_code == 2, result.output
        assert "but it is made from Ray Tune, exp; train it where it came from" in result.stderr
