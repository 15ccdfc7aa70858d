"""What a real head says to callers with the right token, a wrong one, and none."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning import reaching
from raytune_pipe.tuning.authentication import require_authenticated, require_driver_fits

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SECRET = "0123456789abcdef" * 4
VERSIONS = '{"ray_version": "2.50.0", "python_version": "3.10.1"}'
SAY_OTHER_VERSIONS = """
import sys
from ray._raylet import GcsClient
client = GcsClient(address=sys.argv[1])
client.internal_kv_put(b"CLUSTER_METADATA", sys.argv[2].encode(), True, b"cluster")
"""
AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class Head(NamedTuple):
    """A head that demands a token, with a dashboard."""

    address: str
    dashboard: str
    token: Path


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """Started as its operator would, on the loopback interface."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    port, dashboard, agent, clients = free_ports(4)
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as scratch:
        token = Path(scratch, "auth_token")
        token.write_text(SECRET)
        token.chmod(0o600)
        own |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        log = Path(scratch, "log")
        with log.open("w") as written:
            process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
                    *("--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=1"),
                    *(f"--dashboard-port={dashboard}", f"--temp-dir={scratch}/ray"),
                    *(f"--dashboard-agent-listen-port={agent}", "--min-worker-port=0"),
                    *("--max-worker-port=0", f"--ray-client-server-port={clients}"),
                ],
                stdout=written,
                stderr=subprocess.STDOUT,
                env=clean | own,
            )
        try:
            _wait_for(f"http://127.0.0.1:{dashboard}/api/gcs_healthz", process, log)
            yield Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", token)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(url: str, head: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(1200):
        assert head.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the head does not answer")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, an environment without one, and time to ask on a busy machine."""
    monkeypatch.setattr(reaching, "ANSWER_WITHIN_S", 60.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in AUTH:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("door", ["address", "dashboard"])
def test_only_the_right_token_is_let_in(
    head: Head, door: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address: str = getattr(head, door)
    told = []

    def refused(match: str) -> None:
        with pytest.raises(ClusterError, match=match) as caught:
            require_authenticated(address)
        told.append(str(caught.value))

    refused("demands a token, but there is none here")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    refused("demands a token, but not the one in RAY_AUTH_TOKEN")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    mine = home / ".ray" / "auth_token"
    mine.parent.mkdir()
    mine.write_text(SECRET)
    mine.chmod(0o644)
    refused("chmod 600")
    mine.chmod(0o600)
    found = require_authenticated(address)
    assert found.demands_token
    assert found.ray
    mine.unlink()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(head.token))
    again = require_authenticated(address)
    # The head answers before its own node has joined.
    assert replace(again, nodes=found.nodes) == found
    assert not [text for text in told if "\n" in text or SECRET in text or "another" in text]


def test_doctor_runs_as_a_job_on_the_head(head: Head) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "raytune_pipe", "doctor", "--json", "--address", head.dashboard],
        capture_output=True,
        text=True,
        timeout=400,
        env={**clean, "RAY_AUTH_TOKEN_PATH": str(head.token)},
    )
    told = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert head.address in told["head"]["found"], told
    assert told["authentication"]["found"] == ("token demanded, listens on the loopback interface")
    assert SECRET not in done.stdout + done.stderr


def test_a_head_of_other_versions_is_told_in_one_line(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(head.token))
    require_driver_fits(require_authenticated(head.address))
    command = [sys.executable, "-c", SAY_OTHER_VERSIONS, head.address, VERSIONS]
    subprocess.run(command, check=True, env={**os.environ, "RAY_AUTH_MODE": "token"})
    with pytest.raises(ClusterError, match=r"has Ray 2.50.0 on Python 3.10.1, and") as caught:
        require_driver_fits(require_authenticated(head.address))
    assert "\n" not in str(caught.value)
