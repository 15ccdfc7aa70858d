import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import raytune_pipe

Command = Callable[..., Result]
SCHEMA = Path(raytune_pipe.__file__).parent / "experiment.schema.json"


def test_validate_says_ok_and_what_comes_next(command: Command, file: Path) -> None:
    result = command("validate", file)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok: small, 24 trials, 2 searched (optimizer.lr, batch_size)",
        f"next: raytune-pipe plan {file}",
    ]


def test_validate_as_json(command: Command, file: Path) -> None:
    result = command("validate", file, "--json")
    searched = ["optimizer.lr", "batch_size"]
    assert json.loads(result.stdout) == {
        "name": "small",
        "trials": 24,
        "searched": searched,
        "warnings": [],
    }
    assert result.stderr == f"next: raytune-pipe plan {file}\n"


def test_validate_warns_of_traps_at_their_places(command: Command, file: Path) -> None:
    linear = ("--set", "search_space={optimizer.lr: {kind: uniform, low: 1e-4, high: 0.1}}")
    result = command("validate", file, *linear)
    assert result.exit_code == 0
    assert "warning: on a linear scale 90% of all draws lie in" in result.stderr
    assert "[linear_learning_rate]" in result.stderr
    strict = command("validate", file, *linear, "--strict")
    assert strict.exit_code == 2
    assert "use log_uniform [linear_learning_rate]" in strict.stderr
    ignored = command(
        "validate", file, *linear, "--strict", "--set", "ignore=[linear_learning_rate]"
    )
    assert ignored.exit_code == 0
    assert command("launch", file, *linear, "--strict").exit_code == 2


def test_validate_tries_model_and_loss_on_the_data(command: Command, file: Path) -> None:
    result = command("validate", file, "--set", "trial.loss={kind: mse}")
    assert result.exit_code == 2
    assert "trial.loss: mse must have a task of regression" in result.stderr


def test_validate_shows_all_errors_with_their_places(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: wrong\n"
        "trial:\n"
        "  dataset: {kind: digits}\n"
        "  model: {kind: mpl}\n"
        "  loss: {kind: cross_entropy}\n"
        "  optimizer: {kind: sgd, lr: -1}\n"
        "trials: 0\n"
    )
    result = command("validate", path)
    assert result.exit_code == 2
    assert result.stdout == ""
    for place in (f"{path}:4:", f"{path}:6:", f"{path}:7:"):
        assert place in result.stderr


def test_plan_shows_the_search_space_and_the_size(command: Command, file: Path) -> None:
    lines = command("plan", file, "--set", "scheduler={kind: asha, reduction_factor: 2}").stdout
    assert "24 by random search" in lines
    assert "48 at most, all trials together" in lines
    assert "asha, bracket 0: rungs at epochs 1; 1 in 2 goes on from each" in lines
    assert "log_uniform 0.0001 to 1" in lines
    assert "choice of 64, 128, 256" in lines
    assert lines.splitlines()[-1].startswith("next: raytune-pipe launch")


def test_plan_is_the_same_to_the_byte(command: Command, file: Path) -> None:
    script = Path(sys.executable).parent / "raytune-pipe"
    first = subprocess.run([script, "plan", file, "--json"], capture_output=True, check=True)
    again = command("plan", file, "--json")
    assert first.stdout == again.stdout_bytes
    trials = json.loads(first.stdout)["trials"]
    assert [trial["trial_id"] for trial in trials] == [f"{number:05d}" for number in range(24)]
    assert len({trial["leaves"]["seed"] for trial in trials}) == 24
    other = command("plan", file, "--json", "--set", "seed=1")
    assert json.loads(other.stdout)["trials"] != trials


def test_plan_with_resources_counts_the_trials_at_once(command: Command, file: Path) -> None:
    one = ("--set", "resources={cpus: 1, gpus: 0, max_concurrent: 1}")
    assert "1 trials" in command("plan", file, "--resources", *one).stdout
    assert (
        json.loads(command("plan", file, "--json", "--resources", *one).stdout)["trials_at_once"]
        == 1
    )
    assert "trials_at_once" not in command("plan", file, "--json", *one).stdout


def test_plan_refuses_what_no_node_has(command: Command, file: Path) -> None:
    result = command("plan", file, "--resources", "--set", "resources.cpus=1000000")
    assert result.exit_code == 6
    assert "1e+06 CPU" in result.stderr


def test_schema_is_the_committed_one(command: Command) -> None:
    assert json.loads(command("schema").stdout) == json.loads(SCHEMA.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["validate", "plan", "train", "launch"])
def test_a_missing_file_is_bad_input(command: Command, name: str) -> None:
    result = command(name, "nowhere.yaml")
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr
