import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

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
