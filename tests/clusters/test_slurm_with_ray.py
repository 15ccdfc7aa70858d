"""The batch script with Ray itself on one node: only Slurm's own commands are stubs."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytune_pipe.results.reading import read_results

ROOT = Path(__file__).parents[2]
SLURM = {
    "srun": 'while case "$1" in --*) true;; *) false;; esac; do shift; done; exec "$@"',
    "scontrol": "echo here",
    "getent": "echo 127.0.0.1 STREAM here",
}
INSTALLED = {
    "python": f'exec {sys.executable} "$@"',
    "ray": f'exec {sys.executable} -m ray.scripts.scripts "$@"',
    "raytune-pipe": f'exec {sys.executable} -m raytune_pipe "$@"',
}


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of Ray's own with a short name, as the names of its sockets must be."""
    folder = tempfile.mkdtemp(prefix="rtp-", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_of_one_node_runs_the_experiment_and_leaves_nothing(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name, body in {**SLURM, **INSTALLED}.items():
        command = tmp_path / "venv" / "bin" / name
        command.write_text(f"#!/bin/sh\n{body}\n")
        command.chmod(0o755)
    slurm = {"JOB_ID": str(os.getpid()), "JOB_NODELIST": "here", "CPUS_PER_TASK": "1"}
    own = {
        **{f"SLURM_{name}": value for name, value in slurm.items()},
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "RAYTUNE_PIPE_VENV": str(tmp_path / "venv"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all on loopback
        "RAY_TMPDIR": str(scratch),
    }
    words = [ROOT / "clusters" / "slurm.sbatch", ROOT / "experiments" / "smoke.yaml"]
    done = subprocess.run(
        ["bash", *map(str, words), "--set", f"storage={tmp_path / 'results'}"],
        cwd=tmp_path,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 nodes have joined 127.0.0.1:" in done.stdout
    assert len(read_results(tmp_path / "results" / "smoke").trials) == 6
    assert not list(tmp_path.glob(".raytune-pipe-*"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 20000 + os.getpid() % 10000))
