"""A launch as a job of a real head, with the laptop's side killed; and heads that refuse it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from click.testing import CliRunner

from raytune_pipe import read_results
from raytune_pipe.cli import main
from raytune_pipe.results.fetched import require_original
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.verifying import verify_run

REPOSITORY = Path(__file__).parents[2]
TOKEN = "0123456789abcdef" * 4
SECRET = "the-value-of-a-secret"

NETS = """\
import os, time
from torch import nn
import shapes

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        assert os.environ["A_SECRET"], "the workers must have what is passed"
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, shapes.WIDTH), nn.ReLU(),
                                    nn.Linear(shapes.WIDTH, 10))

    def forward(self, inputs):
        if not os.path.exists(os.environ["A_GATE"]):
            time.sleep(0.2)  # an epoch takes seconds until the gate is open
        return self.layers(inputs)
"""

EXPERIMENT = """\
name: far
trial:
  dataset: {kind: digits}
  model: {kind: imported, target: "nets:Net"}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  batch_size: 64
  epochs: 24
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 1.0}
scheduler: {kind: pbt, interval_epochs: 2}
trials: 2
env_passthrough: [A_SECRET, A_GATE]
storage: STORAGE
"""

OTHERWISE = ("attempt", "checkpoint", "checkpoint_sha256")  # of a run that was gone on with
TIMINGS = ("time_s", "samples_per_s", "epoch_s", "reported_at")


class Head(NamedTuple):
    """A head that takes jobs, and the environment of a laptop that may give it some."""

    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head of two CPUs on the loopback interface, which asks for a token."""
    folder = tmp_path_factory.mktemp("head")
    environment = laptop(folder)
    log = folder / "log"
    with (
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as scratch,
        log.open("w") as output,
    ):
        ports = free_ports(6)
        named = [
            *("port", "dashboard-port", "dashboard-agent-listen-port"),
            *("dashboard-agent-grpc-port", "metrics-export-port", "ray-client-server-port"),
        ]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--num-cpus=2"),
                *(f"--{name}={port}" for name, port in zip(named, ports, strict=True)),
                *("--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={scratch}"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            # A shell of a cluster need not know our Python: jobs are to find it.
            env=environment | {"PATH": "/usr/bin:/bin", "RAY_AUTH_MODE": "token"},
            start_new_session=True,
        )
        try:
            wait_until(lambda: answers(ports[1]) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Head(f"http://127.0.0.1:{ports[1]}", environment)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)


def laptop(folder: Path) -> dict[str, str]:
    """The environment of a user: a home and a token of its own, everything on loopback."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return clean | {
        "A_GATE": str(folder / "gate"),
        "A_SECRET": SECRET,
        "HOME": str(folder),
        "PYTHONPATH": str(REPOSITORY),
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def wait_until(happened: Callable[[], bool], within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A user's working directory, with code that the trials import."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "nets.py").write_text(NETS)
    (work / "shapes.py").write_text("WIDTH = 8\n")
    (work / ".env").write_text("KEY=1\n")
    (tmp_path / "far.yaml").write_text(EXPERIMENT.replace("STORAGE", str(tmp_path / "shared")))
    return work


class Laptop:
    """Runs commands as a user types them in the working directory."""

    def __init__(self, work: Path, environment: dict[str, str]) -> None:
        self.work = work
        self.environment = environment

    @contextmanager
    def follow(self, *words: str) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
        """A command that goes on, and the file that takes what it tells on stderr."""
        told = self.work.parent / f"{words[0]}.log"
        with (
            told.open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "raytune_pipe", *words],
                cwd=self.work,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            yield process, told

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "raytune_pipe", *words],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
        )


def reports_of(journal: Path) -> int:
    return journal.read_bytes().count(b'"event":"report"') if journal.exists() else 0


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_outlives_the_laptop_and_gives_what_a_local_run_gives(
    head: Head, work: Path, tmp_path: Path
) -> None:
    user = Laptop(work, head.environment)
    there, journal = ("--address", head.address), tmp_path / "shared" / "far" / JOURNAL
    launch = ("launch", str(tmp_path / "far.yaml"), "--allow-import", "nets")

    # The laptop is gone as soon as the trials have begun.
    with user.follow(*launch, *there) as (laptop, told):
        wait_until(lambda: reports_of(journal) > 0 or laptop.poll() is not None)
        laptop.kill()
    sent, submitted, *_ = told.read_text().splitlines()
    assert sent.startswith("to be sent: 3 files"), told.read_text()
    assert "left out: secrets (1)" in sent
    job = submitted.split()[1]
    assert submitted == f"job {job} is submitted to {head.address}"

    with user.follow("watch", job, *there) as (watching, told):
        wait_until(lambda: "started" in told.read_text() or watching.poll() is not None)
        stopped = user.run("stop", job, *there)
        assert stopped.returncode == 0, stopped.stderr
        assert "interrupted, exit code 143 (SIGTERM)" in stopped.stdout
        shown, _ = watching.communicate(timeout=60)
    assert watching.returncode == 143, told.read_text()
    assert "00000 started" in told.read_text()
    assert f"next: raytune-pipe resume {job} --address {head.address}" in shown
    had = reports_of(journal)
    assert 0 < had < 48
    Path(head.environment["A_GATE"]).touch()

    resumed = user.run("resume", job, "--allow-import", "nets", *there, "--detach", "--json")
    assert resumed.returncode == 0, resumed.stderr
    again = json.loads(resumed.stdout)["job"]
    assert again != job
    watched = user.run("watch", again, *there)
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "finished, exit code 0" in watched.stdout

    fetched = user.run("fetch", again, *there, "--json")
    assert fetched.returncode == 0, fetched.stderr
    copy = work / "results" / "far"
    assert verify_run(copy).problems == ()
    with pytest.raises(Exception, match="is a copy of"):
        require_original(copy)
    ran = [
        event.get("job")
        for event in read_events(copy / JOURNAL)
        if event["event"] in ("experiment", "resume")
    ]
    assert ran == [job, again]
    for text in (told.read_text(), watched.stderr, resumed.stderr, stopped.stdout):
        assert SECRET not in text

    local = user.run(*launch, "--set", f"storage={tmp_path / 'here'}")
    assert local.returncode == 0, local.stderr
    one, other = trained(copy), trained(tmp_path / "here" / "far")
    assert len(one) == 48
    assert one.equals(other), one.compare(other)


def trained(run: Path) -> pd.DataFrame:
    """The reports of a run, without what no two runs share."""
    reports = read_results(run).reports.drop(columns=[*TIMINGS, *OTHERWISE])
    return reports.sort_values(["trial_id", "report"], ignore_index=True)


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--set", "storage=results"], {}, "storage: must be absolute, such as /shared/results"),
        ([], {"A_SECRET": None}, "env_passthrough: A_SECRET must be set"),
        ([], {"A_SECRET": "a${HOME}b"}, "env_passthrough: the value of A_SECRET must not hold"),
        (["--address", "auto", "--detach"], {}, "this is for jobs"),
    ],
)
def test_what_cannot_work_is_told_before_anyone_is_called(
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variables: dict[str, str | None],
    message: str,
) -> None:
    monkeypatch.chdir(work)
    monkeypatch.setattr("sys.path", [str(work), *sys.path])
    for name, value in ({"A_SECRET": SECRET, "A_GATE": "x"} | variables).items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    file = tmp_path / "far.yaml"
    nowhere = ["--address", "http://127.0.0.1:1"]
    done = CliRunner().invoke(
        main, ["launch", str(file), "--allow-import", "nets", *nowhere, *words]
    )
    assert done.exit_code == 2
    assert message in done.stderr
    assert "a${HOME}b" not in done.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_wrong_token_is_one_line(head: Head, work: Path, tmp_path: Path) -> None:
    known = head.environment
    for token, why in ((TOKEN[1:], "not the one in"), (None, "there is none here")):
        environment = {name: known[name] for name in known if "TOKEN" not in name}
        user = Laptop(work, environment | ({"RAY_AUTH_TOKEN": token} if token else {}))
        refused = user.run(
            *("launch", str(tmp_path / "far.yaml"), "--allow-import", "nets"),
            *("--address", head.address),
        )
        assert refused.returncode == 6
        sent, error = refused.stderr.splitlines()
        assert sent.startswith("to be sent: ")
        assert why in error
    assert not (tmp_path / "shared").exists()
