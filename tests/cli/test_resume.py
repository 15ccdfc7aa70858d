import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from raytune_pipe.cli.resume import extension_of
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.holder import Holder
from raytune_pipe.results.journal import JOURNAL, Journal, read_events
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.runner import prepare

Command = Callable[..., Result]
PROGRAM = [sys.executable, "-m", "raytune_pipe"]


@pytest.fixture
def left(run: Path, tmp_path: Path) -> Path:
    """A run whose driver was killed after its last trial had ended: nothing is left to train."""
    return Path(shutil.copytree(run, tmp_path / "small"))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_is_brought_to_its_end_and_then_left_as_it_is(command: Command, left: Path) -> None:
    first = command("resume", left, "--json")
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert (found["state"], found["trials"]) == ("finished", {"completed": 24})
    assert json.loads((left / "status.json").read_text())["state"] == "finished"
    assert "small is gone on with after 48 epochs" in first.stderr
    assert "nothing to do" not in first.stderr
    before = hashes(left)
    second = command("resume", left)
    assert second.exit_code == 0
    assert second.stderr == "nothing to do: finished\n"
    assert "24 trials: 24 completed" in second.stdout
    assert second.stdout.endswith(f"next: raytune-pipe analyze {left}\n")
    assert hashes(left) == before


def test_launch_goes_on_with_the_same_experiment(command: Command, file: Path, left: Path) -> None:
    words = ("launch", file, "--resume", "--set", f"storage={left.parent}/.", "--analyze")
    result = command(*words)
    assert result.exit_code == 0, result.stderr
    assert "24 usable trials" in result.stdout
    assert result.stdout.endswith(f"next: raytune-pipe best {left}\n")
    again = command(*words)
    assert "nothing to do: finished" in again.stderr


def test_launch_goes_on_with_a_run_recorded_before_a_field_existed(file: Path, left: Path) -> None:
    experiment = load_experiment(file)
    first, *others = list(read_events(left / JOURNAL))
    assert first["event"] == "experiment"
    del first["experiment"]["retries"]
    for distribution in first["experiment"]["search_space"].values():
        del distribution["role"]
    (left / JOURNAL).unlink()
    journal = Journal.create(left / JOURNAL)
    journal.append(first, *others)
    journal.close()
    assert extension_of(experiment, left) is None
    assert extension_of(experiment.model_copy(update={"trials": 30}), left) is not None


def test_launch_shows_what_has_changed_and_refuses_to_go_on(
    command: Command, file: Path, left: Path
) -> None:
    before = hashes(left)
    words = ("--set", f"storage={left.parent}", "--set", "epochs=3", "--set", "batch_size=32")
    result = command("launch", file, "--resume", *words)
    assert result.exit_code == 2
    message = result.stderr.splitlines()
    assert f"{left}: the file must be as it was launched" in message[-6]
    assert message[-5:-1] == [
        "  trial.batch_size: 64 -> 32",
        "  trial.epochs: 2 -> 3",
        "  search_space.batch_size.kind: choice -> nothing",
        "  search_space.batch_size.options: [64, 128, 256] -> nothing",
    ]
    assert f"raytune-pipe resume {left}" in message[-1]
    assert hashes(left) == before


def test_a_run_that_cannot_be_extended_is_left_as_it_is(
    command: Command, file: Path, left: Path
) -> None:
    before = hashes(left)
    words = ("launch", file, "--resume", "--set", f"storage={left.parent}", "--set", "trials=8")
    result = command(*words)
    assert result.exit_code == 2
    assert "trials: must be at least the 24 that were planned, but got 8" in result.stderr
    assert hashes(left) == before


def test_new_and_resume_exclude_each_other(command: Command, file: Path) -> None:
    result = command("launch", file, "--resume", "--new")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_a_folder_without_a_run_is_refused(command: Command, tmp_path: Path) -> None:
    result = command("resume", tmp_path)
    assert result.exit_code == 5
    assert "must be the folder of a run" in result.stderr


def test_a_run_that_a_process_holds_is_refused(command: Command, left: Path) -> None:
    with RunDirectory.reopen(left):
        result = command("resume", left)
    assert result.exit_code == 4
    assert f"held by process {os.getpid()}" in result.stderr


def test_a_run_that_another_host_holds_is_taken_by_force_only(
    command: Command, file: Path, left: Path
) -> None:
    for lock in left.glob(f"{LOCK}*"):
        lock.unlink()
    elsewhere = {**asdict(Holder.here(1, has_flock=True)), "host": "far", "boot_id": "another"}
    (left / LOCK).write_text(json.dumps(elsewhere))
    refused = command("resume", left)
    assert refused.exit_code == 4
    assert f"held by process {os.getpid()} on far (last heartbeat " in refused.stderr
    assert f"raytune-pipe resume {left} --steal-lock" in refused.stderr
    assert "running" in command("status", left).stdout
    words = ("launch", file, "--set", f"storage={left.parent}", "--steal-lock")
    assert command(*words).exit_code == 2
    taken = command(*words, "--resume")
    assert taken.exit_code == 0, taken.stderr
    line = f"taken over from process {os.getpid()} on far: it was taken by force, with --steal-lock"
    assert line in taken.stderr
    assert line in command("logs", left).stdout


def test_what_a_journal_imports_must_be_allowed(
    command: Command, tmp_path: Path, file: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        file.read_text().replace("{kind: mlp, widths: [8]}", '{kind: imported, target: "nets:N"}')
    )
    experiment = load_experiment(mine, allow_imports=["nets"])
    with RunDirectory.claim(tmp_path, "mine") as run:
        prepare(experiment, experiment.plan(), run, lambda _event: None)
    before = hashes(tmp_path)
    result = command("resume", tmp_path / "mine")
    assert result.exit_code == 2
    assert "trial.model.target: must come from an allowed package" in result.stderr
    assert hashes(tmp_path) == before


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def lives(pid: int) -> bool:
    """Whether a process has not ended; where nobody waits for it, it stays on as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def send_at_a_report(sent: signal.Signals, journal: Path, *words: str) -> tuple[int, str]:
    """Run a command until it journals a report, and signal it; its exit code and its stdout.

    None of its processes lives on.
    """
    known = journal.read_text().count('"event":"report"') if journal.exists() else 0
    process = subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: journal.exists() and journal.read_text().count('"event":"report"') > known)
    begun = list(descendants(process.pid))
    process.send_signal(sent)
    stdout, _ = process.communicate(timeout=60)
    if sent == signal.SIGKILL:  # Ray's workers then end by themselves, two of its agents do not
        for pid in filter(lives, begun):
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
    wait_until(lambda: not any(map(lives, begun)))
    return process.returncode, stdout


@pytest.mark.ray
@pytest.mark.slow
def test_after_a_kill_and_an_interrupt_every_report_is_there_once(
    file: Path, tmp_path: Path
) -> None:
    overrides = [f"storage={tmp_path}", "trials=4", "epochs=40", "checkpoint_seconds=0.2"]
    words = [word for override in overrides for word in ("--set", override)]
    run = tmp_path / "small"
    journal = run / JOURNAL
    killed, _ = send_at_a_report(signal.SIGKILL, journal, "launch", str(file), "--resume", *words)
    assert killed == -signal.SIGKILL
    after_kill = list(read_events(journal))
    interrupted, stdout = send_at_a_report(signal.SIGINT, journal, "resume", str(run))
    assert interrupted == 130
    assert stdout.endswith(f"next: raytune-pipe resume {run}\n")
    after_interrupt = list(read_events(journal))
    done = subprocess.run(
        [*PROGRAM, "resume", str(run), "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == {"completed": 4}
    reports = pd.read_parquet(run / "reports.parquet").sort_values(["trial_id", "report"])
    found = list(zip(reports["trial_id"], reports["report"], strict=True))
    assert found == [(f"{trial:05d}", report) for trial in range(4) for report in range(1, 41)]
    events = list(read_events(journal))
    assert events[: len(after_kill)] == after_kill
    assert events[: len(after_interrupt)] == after_interrupt
    assert sum(event["event"] == "resume" for event in events) == 2
