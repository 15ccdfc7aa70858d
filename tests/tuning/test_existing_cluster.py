"""A launch on a Ray cluster that runs already, started as its operator would."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytune_pipe import read_results

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EXPERIMENT = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [8]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 2
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
scheduler: {kind: pbt, interval_epochs: 1}
trials: 3
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Everything on the loopback interface, and a home of its own for the cluster's token."""
    # Ray leaves settings of the session's own embedded Ray in the environment.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return clean | own | {"HOME": str(tmp_path)}


@pytest.fixture
def address(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A head node of two CPUs, with the token authentication that it has by default."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch, (tmp_path / "log").open("w") as log:
        head = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
                *("--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"),
                *("--include-dashboard=false", f"--temp-dir={scratch}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        _wait_until_it_answers(port, head, Path(log.name))
        yield f"127.0.0.1:{port}"
        head.terminate()
        head.wait(timeout=60)


def _wait_until_it_answers(port: int, head: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert head.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the head node does not answer")


def test_a_launch_runs_on_a_cluster_that_runs_already(
    tmp_path: Path, address: str, environment: dict[str, str]
) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    storage = tmp_path / "results"
    command = [sys.executable, "-m", "raytune_pipe", "launch", str(tmp_path / "experiment.yaml")]
    command += ["--set", f"storage={storage}", "--address", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    results = read_results(storage / "run")
    assert results.trials["status"].tolist() == ["completed"] * 3
    assert len(results.reports) == 6

    too_much = subprocess.run(
        [*command, "--name", "large", "--set", "resources.gpus=1.0"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert too_much.returncode == 6
    assert "some node must have 1 CPU and 1 GPU" in too_much.stderr
    assert not (storage / "large").exists()
