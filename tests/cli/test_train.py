import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Command = Callable[..., Result]


def test_train_prints_a_row_an_epoch(command: Command, file: Path) -> None:
    result = command("train", file)
    assert result.exit_code == 0
    header, _, first, second = [line for line in result.stdout.splitlines() if line][:4]
    assert header.split()[:3] == ["epoch", "train_loss", "lr"]
    assert (first.split()[0], second.split()[0]) == ("1", "2")
    assert result.stderr.startswith("epoch 1 of 2: val_loss ")


def test_train_as_json_repeats_to_the_bit(command: Command, file: Path) -> None:
    first, again = (json.loads(command("train", file, "--json").stdout) for _ in range(2))
    losses = [[epoch["metrics"]["val_loss"] for epoch in each["epochs"]] for each in (first, again)]
    assert losses[0] == losses[1]
    assert first["verdict"] is None
    assert first["epochs"][0]["values_in_force"]["optimizer.lr"] == 0.1


def test_a_trial_that_diverges_cannot_be_used(command: Command, file: Path) -> None:
    result = command("train", file, "--json", "--set", "optimizer.lr=1e30")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["verdict"] == "not_a_number"
    assert found["epochs"][-1]["metrics"]["val_loss"] is None
    assert "the trial diverged" in result.stderr


def test_train_refuses_more_than_this_machine_has(command: Command, file: Path) -> None:
    assert command("train", file, "--set", "resources.cpus=1000000").exit_code == 6
