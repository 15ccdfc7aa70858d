import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe.experiment_file import load_experiment

Command = Callable[..., Result]
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_a_shipped_experiment_passes(command: Command) -> None:
    file = EXPERIMENTS / "smoke.yaml"
    result = command("check", file)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["ok", "fit"]
    assert any("suggested" in line for line in lines)
    assert lines[-2].endswith(" 0 fail")
    assert lines[-1] == f"next: raytune-pipe launch {file}"
    assert result.stderr.startswith("looking at: data\n")


def test_what_fails_exits_3_and_is_to_be_checked_again(command: Command, file: Path) -> None:
    words = (file, "--set", "trial.loss={kind: mse}", "--json")
    result = command("check", *words)
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert not told["ok"]
    assert [one["verdict"] for one in told["findings"]] == ["fail"]
    assert result.stderr.splitlines()[-1].startswith(f"next: raytune-pipe check {file} --set ")


def test_more_processors_than_are_here_are_left_to_the_cluster(
    command: Command, file: Path
) -> None:
    result = command("check", file, "--set", "resources.cpus=1000000")
    assert result.exit_code == 0


def test_launch_does_not_launch_what_fails(command: Command, file: Path) -> None:
    result = command("launch", file, "--check", "--name", "faulty", "--set", "loss.kind=mse")
    assert result.exit_code == 3
    assert result.stdout.startswith(f"next: raytune-pipe check {file} --set loss.kind=mse")
    assert "fail  fit" in result.stderr
    assert not (Path(load_experiment(file).storage) / "faulty").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_launch_launches_what_passes(command: Command, file: Path, tmp_path: Path) -> None:
    words = ("--set", "trials=1", "--set", "epochs=1", "--set", f"storage={tmp_path}", "--json")
    result = command("launch", file, "--check", *words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["state"] == "finished"
    assert " 0 fail" in result.stderr
