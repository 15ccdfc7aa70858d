import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.job_python import FIND, require_python
from raytune_pipe.tuning.jobs import HelperOutput, Jobs

TELL = "import sys; print(sys.executable)"
AS_A_RAYLET = "import subprocess, sys; subprocess.run(['sh', '-c', sys.argv[1]])"
"""Stands above a job's shell with the arguments that a raylet has."""


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_interpreter_is_the_one_that_the_raylet_starts_workers_with(
    tmp_path: Path, quote: str
) -> None:
    wanted = tmp_path / "python"
    wanted.symlink_to(sys.executable)
    shell = f"{FIND} -c {shlex.quote(TELL)}"
    worker = f"--python_worker_command={quote}{wanted}{quote} setup_worker.py --node=1"
    done = subprocess.run(
        [sys.executable, "-c", AS_A_RAYLET, shell, "--port=0", worker],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(wanted), done.stderr


def test_without_a_raylet_it_is_python3_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    path = os.pathsep.join([str(tmp_path), str(Path(shutil.which("sh") or "/bin/sh").parent)])
    done = subprocess.run(
        ["sh", "-c", f"{FIND} -c {shlex.quote(TELL)}"],
        capture_output=True,
        text=True,
        env={"PATH": path},
    )
    assert done.stdout.strip() == str(tmp_path / "python3"), done.stderr


class HeadHere:
    """A head whose helpers run here, and tell other versions than ours."""

    address = "http://127.0.0.1:8265"

    def __init__(self, **told: str | None) -> None:
        self.told = told

    def run(self, entrypoint: str) -> HelperOutput:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["sh", "-c", entrypoint],
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": path},
        )
        told = json.loads(done.stdout) | self.told
        return HelperOutput(json.dumps({name: text for name, text in told.items() if text}), 0)


def test_equal_versions_are_taken() -> None:
    found = require_python(cast(Jobs, HeadHere()))
    assert Path(found.executable).is_file()
    assert found.command("status", "a b") == (
        f"exec {found.executable} -m raytune_pipe status 'a b'"
    )


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"python": "3.1.4"}, "Python must have one version on both sides, but the head has 3.1 "),
        ({"ray": "2.1.0"}, "Ray must have one .* the head has 2.1.0 .* -m pip install ray=="),
        ({"raytune-pipe": "0.0.1"}, "raytune-pipe must have one version.* the head has 0.0.1 "),
        ({"raytune-pipe": None}, "the head has none .* -m pip install raytune-pipe=="),
        ({"executable": None}, "the head must find its Python, but got: "),
    ],
)
def test_other_versions_are_one_line(told: dict[str, str | None], match: str) -> None:
    with pytest.raises(ClusterError, match=match) as error:
        require_python(cast(Jobs, HeadHere(**told)))
    assert "\n" not in str(error.value)
