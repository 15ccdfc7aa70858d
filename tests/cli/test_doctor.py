"""What the command prints; what it looks at is tested beside `raytune_pipe.tuning.doctor`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe.tuning import doctor
from raytune_pipe.tuning.doctor_check import Check

Command = Callable[..., Result]

NODES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5")
FINE = [
    Check("head", "ok", "answers"),
    Check("gpus", "ok", "none", nodes=NODES),
    Check("/dev/shm", "warn", "missing", "mount one", NODES[:1]),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """What the cluster is like: a list that the test may change."""
    checks = list(FINE)
    monkeypatch.setattr(doctor, "run_checks", lambda *_, **__: checks)
    return checks


def test_a_closed_port_is_a_failure_in_one_line(command: Command) -> None:
    result = command("doctor", "--address", "127.0.0.1:1")
    assert result.exit_code == 6
    lines = result.stdout.splitlines()
    assert lines[0].startswith("fail  head  --address 127.0.0.1:1: a Ray cluster must answer there")
    assert lines[-1] == "next: raytune-pipe doctor --address 127.0.0.1:1"


@pytest.mark.usefixtures("found")
def test_warnings_are_no_failure(command: Command, file: Path) -> None:
    result = command("doctor", file, "--address", "auto", "--insecure", "--allow-import", "nets")
    assert result.exit_code == 0, result.output
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert rows == [
        "ok head answers",
        "ok gpus 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more: none",
        "warn /dev/shm 10.0.0.1: missing",
        "mend: mount one",
        "2 ok, 1 warn, 0 fail",
        f"next: raytune-pipe launch {file} --address auto --insecure --allow-import nets",
    ]


def test_json_has_every_check(command: Command, found: list[Check]) -> None:
    found.append(Check("clock", "fail", "far off", "set it", ("10.0.0.1",)))
    result = command("doctor", "--json")
    assert result.exit_code == 6
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert told["checks"][-1] == {
        "name": "clock",
        "verdict": "fail",
        "found": "far off",
        "mend": "set it",
        "nodes": ["10.0.0.1"],
    }
    assert result.stderr == "next: raytune-pipe doctor\n"


def test_code_that_is_not_allowed_is_not_looked_for(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\ntrials: 1\ntrial:\n  dataset: {kind: digits}\n"
        "  model: {kind: imported, target: 'nets:Wide'}\n  loss: {kind: cross_entropy}\n"
        "  optimizer: {kind: sgd, lr: 0.1}\n  epochs: 1\n"
    )
    result = command("doctor", file)
    assert result.exit_code == 2
    assert "--allow-import" in result.stderr
