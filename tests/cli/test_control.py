import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from click.testing import Result

from raytune_pipe.results.control import STOP, take_stop_request
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, Journal, read_events
from raytune_pipe.results.lock import take_lock
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.tuning.runner import resume

Command = Callable[..., Result]

HOLDS = """\
import sys, time
from pathlib import Path
from raytune_pipe.results.lock import take_lock
take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run as the process that runs it does."""
    lock = take_lock(folder)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def holder(folder: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a run."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def written(folder: Path, *events: Event) -> Path:
    """A run's folder with these events; nobody runs it."""
    folder.mkdir(parents=True)
    journal = Journal.create(folder / JOURNAL)
    journal.append(*events)
    journal.close()
    return folder


@pytest.fixture
def begun(run: Path, tmp_path: Path) -> Path:
    """A run of 24 trials that was left amid its second trial."""
    events = list(read_events(run / JOURNAL))
    starts = [number for number, event in enumerate(events) if event["event"] == "start"]
    return written(tmp_path / "results" / "begun", *events[: starts[1] + 2])


FAILED: Event = {
    "event": "end",
    "trial_id": "00001",
    "status": "failed",
    "reason": "ValueError: no",
    "error": "Traceback (most recent call last):\n  boom\nValueError: \x1b[31mno",
    "time": 2_000_000_000.0,
}
FINISHED: Event = {
    "event": "finish",
    "state": "finished",
    "exit_code": 0,
    "error": None,
    "time": 2_000_000_000.0,
}


def decisions(*said: dict[str, Any]) -> Event:
    """An event of these decisions; what they do not say is null."""
    unsaid = dict.fromkeys(("rung", "bracket", "cutoff", "donor", "donor_report", "values"), None)
    records: list[Any] = [
        {**unsaid, "diverged": False, "checkpoint": None, "changes": [], **one} for one in said
    ]
    return {"event": "decision", "trial_id": "00001", "report": 1, "decisions": records}


class TestStatus:
    def test_a_killed_run_says_how_to_go_on(self, command: Command, begun: Path) -> None:
        result = command("status", begun)
        assert result.exit_code == 0
        assert "killed (its process is gone" in result.stdout
        assert "24: 1 completed, 1 interrupted, 22 waiting" in result.stdout
        assert "3 of 48" in result.stdout
        assert result.stdout.endswith(f"next: raytune-pipe resume {begun}\n")

    def test_a_running_run(self, command: Command, begun: Path) -> None:
        with held(begun):
            result = command("status", begun, "--json")
        found = json.loads(result.stdout)
        assert found["state"] == "running"
        assert f"process {os.getpid()}" in found["about"]
        assert found["trials"] == {"completed": 1, "running": 1, "waiting": 22}
        assert (found["epochs"], found["epochs_planned"]) == (3, 48)
        assert found["best"]["metric"] == "val_loss"
        assert result.stderr == f"next: raytune-pipe watch {begun}\n"

    def test_a_finished_run(self, command: Command, run: Path, tmp_path: Path) -> None:
        done = written(tmp_path / "done", *read_events(run / JOURNAL), FINISHED)
        result = command("status", done)
        assert "state       finished" in result.stdout
        assert "24: 24 completed" in result.stdout
        assert result.stdout.endswith(f"next: raytune-pipe analyze {done}\n")

    def test_a_run_whose_journal_could_not_be_closed(self, command: Command, begun: Path) -> None:
        said = {"state": "failed", "error": "ResultsError: no space left"}
        (begun / "status.json").write_text(json.dumps(said))
        assert "failed (ResultsError: no space left)" in command("status", begun).stdout
        os.utime(begun / "status.json", (0, 0))  # of an earlier process of this run
        assert "killed" in command("status", begun).stdout

    def test_a_storage_is_a_table_of_its_runs(self, command: Command, begun: Path) -> None:
        written(begun.parent / "done", *read_events(begun / JOURNAL), FINISHED)
        written(begun.parent / "broken")
        (begun.parent / "broken" / JOURNAL).write_text("not a journal\n")
        lines = command("status", begun.parent).stdout.splitlines()
        rows = [line.split() for line in lines if "ago" in line]
        assert {row[0]: row[1] for row in rows} == {
            "begun": "killed",
            "done": "finished",
            "broken": "damaged",
        }
        assert lines[-1].startswith("next: raytune-pipe status ")
        found = json.loads(command("status", begun.parent, "--json").stdout)
        assert len(found["runs"]) == 3

    def test_without_any_run(self, command: Command, tmp_path: Path) -> None:
        result = command("status", tmp_path)
        assert result.exit_code == 5
        assert "must be the folder of a run" in result.stderr


class TestWatch:
    def test_shows_a_run_to_its_end(self, command: Command, begun: Path) -> None:
        Timer(0.3, take_lock(begun).release).start()
        result = command("watch", begun)
        assert result.exit_code == 0
        assert "00000 completed (budget); val_loss" in result.stderr
        assert "killed" in result.stdout
        assert result.stdout.endswith(f"next: raytune-pipe resume {begun}\n")

    def test_of_a_folder_that_is_no_run(self, command: Command, tmp_path: Path) -> None:
        assert command("watch", tmp_path).exit_code == 5


class TestLogs:
    def test_a_line_for_what_is_worth_one(
        self, command: Command, begun: Path, tmp_path: Path
    ) -> None:
        failed = written(tmp_path / "failed", *read_events(begun / JOURNAL), FAILED)
        lines = command("logs", failed).stdout.splitlines()
        told = [" ".join(line.split("  ")[1].split()[:2]) for line in lines[:-1]]
        assert told == ["00000 started", "00000 completed", "00001 started", "00001 failed"]
        assert "00001 failed (ValueError: no); val_loss" in lines[3]
        assert lines[3].startswith("2033-05-1")
        assert lines[-1] == f"next: raytune-pipe logs {failed} --trial 00001"

    def test_tells_how_the_run_ended(self, command: Command, begun: Path, tmp_path: Path) -> None:
        done = written(tmp_path / "done", *read_events(begun / JOURNAL), FINISHED)
        line, after = command("logs", done).stdout.splitlines()[-2:]
        assert line.endswith("  small finished")
        assert after == f"next: raytune-pipe status {done}"

    def test_all_of_one_trial(self, command: Command, begun: Path, tmp_path: Path) -> None:
        failed = written(tmp_path / "failed", *read_events(begun / JOURNAL), FAILED)
        shown = command("logs", failed, "--trial", "00001").stdout
        assert "00000" not in shown
        assert "00001 report 1, epoch 1: train_loss" in shown
        assert "Traceback (most recent call last):\n  boom\nValueError: \\x1b[31mno" in shown

    def test_decisions_on_a_trial(self, command: Command, begun: Path, tmp_path: Path) -> None:
        decided = decisions(
            {"trial": "00001", "action": "wait", "rung": 1.0},
            {"trial": "00001", "action": "stop", "rung": 2.0, "cutoff": 0.25},
            {"trial": "00002", "action": "stop"},
            {
                "trial": "00003",
                "action": "exploit",
                "donor": "00001",
                "changes": [("optimizer.lr", "perturb", 0.5, 0.25)],
            },
        )
        run = written(tmp_path / "decided", *read_events(begun / JOURNAL), decided)
        shown = command("logs", run, "--trial", "00001").stdout.splitlines()
        assert [line.split("  ")[1] for line in shown[-4:-1]] == [
            "00001 waits at rung 1",
            "00001 is stopped at rung 2 (cutoff 0.25)",
            "00003 copies 00001: optimizer.lr 0.5 -> 0.25",
        ]

    def test_a_trial_that_is_not_there(self, command: Command, begun: Path) -> None:
        result = command("logs", begun, "--trial", "7")
        assert result.exit_code == 2
        assert "00000 to 00023, but got 7" in result.stderr


class TestStop:
    def test_a_run_that_nobody_runs(self, command: Command, begun: Path) -> None:
        result = command("stop", begun)
        assert result.exit_code == 0
        assert "nothing to stop" in result.stderr
        assert not (begun / STOP).exists()
        assert result.stdout.endswith(f"next: raytune-pipe resume {begun}\n")

    def test_a_run_that_does_not_end_in_time(
        self, command: Command, begun: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("raytune_pipe.cli.control.STOP_PATIENCE_S", 0.0)
        with held(begun):
            result = command("stop", begun)
        assert result.stdout == f"next: raytune-pipe stop {begun} --now\n"
        assert take_stop_request(begun)

    def test_a_request_that_came_too_late_does_not_end_the_resume(
        self, run: Path, tmp_path: Path
    ) -> None:
        left = written(tmp_path / "left", *read_events(run / JOURNAL))  # all trials have ended
        (left / STOP).touch()
        assert resume(left).state == "finished"
        assert not (left / STOP).exists()

    @pytest.mark.parametrize("change", [{"boot_id": "elsewhere"}, {"pid": 1}, {"pid": "no"}])
    def test_now_spares_any_other_process(
        self, command: Command, begun: Path, change: dict[str, object]
    ) -> None:
        with holder(begun, HOLDS) as process:
            said = json.loads((begun / LOCK).read_bytes())
            (begun / LOCK).write_text(json.dumps({**said, **change}))
            result = command("stop", begun, "--now")
            assert result.exit_code == 4
            assert "stop it without --now" in result.stderr
            assert process.poll() is None


def test_help_names_them(command: Command) -> None:
    shown = command("--help").stdout
    assert all(f"\n  {name} " in shown for name in ("status", "watch", "logs", "stop"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["status"], ["watch"], ["logs"], ["stop"]])
def test_none_of_these_needs_torch_or_ray(begun: Path, words: list[str]) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('LOADED', *sys.modules));"
        f"from raytune_pipe.cli import main; main({[*words, str(begun)]!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _, _, loaded = done.stdout.partition("LOADED")
    assert not {"torch", "ray"} & set(loaded.split())


@pytest.mark.slow
@pytest.mark.ray
def test_stop_ends_a_launch_as_ctrl_c_does(command: Command, file: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "raytune_pipe", "launch", str(file), "--name", "long"),
            *("--set", "epochs=10000", "--set", f"storage={tmp_path}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = tmp_path / "long"
    deadline = time.monotonic() + 120
    while not ((run / JOURNAL).exists() and b'"event":"report"' in (run / JOURNAL).read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "running" in command("status", run).stdout
    result = command("stop", run)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "interrupted (SIGINT)" in result.stdout
    assert result.stdout.endswith(f"next: raytune-pipe resume {run}\n")
    assert not (run / STOP).exists()
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
