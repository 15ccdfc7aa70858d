"""A launch on a Ray cluster that runs already, started as its operator would."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from raytune_pipe import read_results
from raytune_pipe.results.journal import JOURNAL

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


class Head(NamedTuple):
    """A head node that runs."""

    address: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture
def head(tmp_path: Path, environment: dict[str, str]) -> Iterator[Head]:
    """A head node of two CPUs that demands no token; there is one, which it must not be shown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch, (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
                *("--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"),
                *("--include-dashboard=false", f"--temp-dir={scratch}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        _wait_until_it_answers(port, process, Path(log.name))
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("of another cluster")
        head = Head(f"127.0.0.1:{port}", process)
        yield head
        process.terminate()
        process.wait(timeout=60)
        head.kill()


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


def test_a_launch_runs_on_a_cluster_that_runs_already_until_that_dies(
    tmp_path: Path, head: Head, environment: dict[str, str]
) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    storage = tmp_path / "results"
    command = [sys.executable, "-m", "raytune_pipe", "launch", str(tmp_path / "experiment.yaml")]
    command += ["--set", f"storage={storage}", "--address", head.address]
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

    # The head dies while a run goes on: it is told, and gone on with elsewhere.
    long = [*command, "--name", "long", "--set", "epochs=10", "--set", "batch_size=4"]
    process = subprocess.Popen(long, stderr=subprocess.PIPE, text=True, env=environment)
    journal = storage / "long" / JOURNAL
    _wait_until(lambda: journal.exists() and b'"event":"report"' in journal.read_bytes())
    head.kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 6, told
    assert f"its head at {head.address} does not answer" in told
    assert f"raytune-pipe resume {storage / 'long'}" in told
    acknowledged = journal.read_bytes()
    status = json.loads((storage / "long" / "status.json").read_text())
    assert (status["state"], status["journal_bytes"]) == ("interrupted", len(acknowledged))
    resume = [sys.executable, "-m", "raytune_pipe", "resume", str(storage / "long")]
    done = subprocess.run(resume, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert journal.read_bytes().startswith(acknowledged)
    assert read_results(storage / "long").trials["status"].tolist() == ["completed"] * 3


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
