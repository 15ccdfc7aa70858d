"""What a launch on an embedded Ray listens on: the loopback interface alone, and then nothing."""

import ipaddress
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raytune_pipe.results.journal import JOURNAL
from raytune_pipe.tuning.node_checks import family_of, listening

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXPERIMENT = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 6
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
trials: 2
resources: {max_concurrent: 1}
"""


def test_only_this_machine_reaches_what_a_launch_starts(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    storage = tmp_path / "results"
    command = [sys.executable, "-m", "raytune_pipe", "launch", str(tmp_path / "experiment.yaml")]
    command += ["--set", f"storage={storage}"]
    journal, seen, family = storage / "run" / JOURNAL, set[str](), set[int]()
    sampled_while_training = 0
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as launch,
    ):
        while launch.poll() is None:
            members = family_of(launch.pid)
            family |= members
            seen |= set(listening(members))
            if journal.exists() and b'"event":"report"' in journal.read_bytes():
                sampled_while_training += 1
            time.sleep(0.25)
    assert launch.returncode == 0, (tmp_path / "log").read_text()
    assert sampled_while_training
    hosts = {each.rpartition(":")[0].strip("[]") for each in seen}
    assert len(seen) >= 3  # of the head's store, of its raylet, of a worker
    assert all(ipaddress.ip_address(host).is_loopback for host in hosts), seen
    assert listening(family) == []
