import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning import runner

Command = Callable[..., Result]
USER_CODE = Path(__file__).parents[1] / "user_code"
BROKEN = """\
name: broken
trial:
  dataset: {kind: imported, target: "poison:data"}
  model: {kind: imported, target: "poison:Healthy"}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 1
search_space:
  model.target: {kind: choice, options: ["poison:Healthy", "poison:Killed"]}
searcher: {kind: grid}
trials: 2
"""


def started(*words: str | Path) -> subprocess.Popen[str]:
    """A launch in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "raytune_pipe", "launch", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(USER_CODE)},
    )


def test_a_name_that_is_taken_is_refused(command: Command, file: Path, run: Path) -> None:
    journal = (run / "journal.jsonl").read_bytes()
    result = command("launch", file)
    assert result.exit_code == 4
    assert all(way in result.stderr for way in ("--name", "--new", f"raytune-pipe resume {run}"))
    assert (run / "journal.jsonl").read_bytes() == journal


def test_more_than_any_node_has_is_refused(command: Command, file: Path) -> None:
    result = command("launch", file, "--name", "huge", "--set", "resources.cpus=1000000")
    assert result.exit_code == 6
    assert result.stdout == ""


@pytest.mark.parametrize("name", ["../up", "a b", ""])
def test_a_name_that_is_no_folder_is_refused(command: Command, file: Path, name: str) -> None:
    result = command("launch", file, "--name", name)
    assert result.exit_code == 2
    assert "name: must be" in result.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_launch_ranks_and_says_what_comes_next(command: Command, file: Path, run: Path) -> None:
    words = ("launch", file, "--new", "--set", "trials=6", "--set", "epochs=1")
    result = command(*words, "--analyze", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    path = run.parent / "small-2"
    assert (found["path"], found["state"], found["trials"]) == (
        str(path),
        "finished",
        {"completed": 6},
    )
    assert found["best"]["value"] > 0
    assert "at least 20 usable trials are needed, but got 6" in found["importance"]["refused"]
    assert result.stderr.count("completed (budget); val_loss") == 6
    assert result.stderr.endswith(f"next: raytune-pipe best {path}\n")
    assert (path / "importance.parquet").exists()
    assert command("analyze", path).exit_code == 3
    shutil.rmtree(path)


@pytest.mark.parametrize("words", [[], ["--new"]])
@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_that_does_not_wait_says_how_to_go_on(
    command: Command,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: list[str],
    begun: bool,
) -> None:
    def interrupted(
        experiment: Experiment, *, new: bool, listener: runner.Listener, **_: object
    ) -> None:
        if begun:
            with RunDirectory.claim(tmp_path, experiment.name, new) as run:
                runner.prepare(experiment, experiment.plan(), run, listener)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "launch", interrupted)
    if words:
        RunDirectory.claim(tmp_path, "again").close()
    words = ["--set", f"storage={tmp_path}", "--name", "again", "--address", "localhost:1", *words]
    result = command("launch", file, *words)
    assert result.exit_code == 130
    if begun:
        path = tmp_path / ("again-2" if "--new" in words else "again")
        assert result.stderr.endswith("interrupted; to go on:\n")
        assert result.stdout == f"next: raytune-pipe resume {path} --address localhost:1\n"
    else:
        assert result.stderr.endswith("interrupted before anything was written; to launch again:\n")
        assert result.stdout == f"next: raytune-pipe launch {file} {' '.join(words)}\n"


@pytest.mark.slow
def test_what_ray_prints_does_not_mix_with_the_result(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    storage = f"storage={tmp_path / 'results'}"
    process = started(file, "--set", storage, "--allow-import", "poison", "--json")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["trials"] == {"completed": 1, "failed": 1}
    assert "A worker died" in stderr  # Ray says so on stdout, from a thread of its own


@pytest.mark.slow
def test_a_launch_interrupted_before_any_trial_says_how_to_go_on(
    file: Path, tmp_path: Path
) -> None:
    words = ("--set", f"storage={tmp_path}", "--name", "early")
    process = started(file, *words)
    deadline = time.monotonic() + 60
    while not (tmp_path / "early" / "status.json").exists():  # Ray starts for seconds from here on
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, stderr
    assert "interrupted before any trial began; to go on:" in stderr
    assert stdout == f"next: raytune-pipe resume {tmp_path / 'early'}\n"
