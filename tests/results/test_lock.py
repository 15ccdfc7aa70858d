import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.base import NameTakenError
from raytune_pipe.results import lock as lock_module
from raytune_pipe.results.holder import Holder, time_since_boot_s
from raytune_pipe.results.lock import Lock, describe_holder, holder_here, is_held, take_lock
from raytune_pipe.results.lock_files import LOCK, create_next, look_at_latest

ENDS = """\
import errno, fcntl, os, sys
from pathlib import Path
from raytune_pipe.results.lock import take_lock
def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")
if "without flock" in sys.argv:
    fcntl.flock = no_locks
take_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
os._exit(0)
"""
"""Takes a lock, and ends without letting it go once its standard input is closed."""


@contextmanager
def owner(folder: Path, *words: str) -> Iterator[int]:
    """Another process that owns a run, and is killed in the end."""
    command = [sys.executable, "-c", ENDS, str(folder), *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.kill()


def left_by(folder: Path, age_s: float = 0.0, **changes: Any) -> None:
    """A lock that a process left, which is ours but for these changes; and its last heartbeat."""
    plain = asdict(Holder.here(1, has_flock=False))
    (folder / LOCK).write_text(json.dumps({**plain, **changes}))
    os.utime(folder / LOCK, (time.time() - age_s,) * 2)


@pytest.fixture
def without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    held = take_lock(tmp_path)
    with pytest.raises(NameTakenError, match=f"held by process {os.getpid()} on ") as caught:
        take_lock(tmp_path, steal=True)
    assert f"raytune-pipe stop {tmp_path}" in str(caught.value)
    assert "--steal-lock" not in str(caught.value)
    held.release()
    held.release()
    again = take_lock(tmp_path)
    assert again.took_over is None
    assert files(tmp_path) == {f"{LOCK}-2"}
    again.release()


def test_asking_whether_a_lock_is_held_neither_takes_nor_makes_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    held = take_lock(tmp_path)
    before = (tmp_path / LOCK).read_bytes()
    assert is_held(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == before
    held.release()
    assert not is_held(tmp_path)
    assert not is_held(tmp_path / "nothing")


@pytest.mark.parametrize("words", [[], ["without flock"]])
def test_the_lock_of_a_process_that_was_killed_is_taken_over(
    tmp_path: Path, words: list[str]
) -> None:
    with owner(tmp_path, *words) as pid:
        assert is_held(tmp_path)
        assert holder_here(tmp_path) == pid
        with pytest.raises(NameTakenError, match=f"held by process {pid} on "):
            take_lock(tmp_path, steal=True)
    assert not is_held(tmp_path)
    assert holder_here(tmp_path) is None
    lock = take_lock(tmp_path)
    assert lock.took_over == f"process {pid} on {os.uname().nodename}: that process has ended"
    lock.release()


@pytest.mark.usefixtures("without_flock")
def test_without_flock_a_living_process_is_told_by_its_number_and_start(tmp_path: Path) -> None:
    held = take_lock(tmp_path)
    assert is_held(tmp_path)
    with pytest.raises(NameTakenError):
        take_lock(tmp_path, steal=True)
    held.release()
    assert not is_held(tmp_path)


def test_a_number_that_is_another_process_now_is_no_owner(tmp_path: Path) -> None:
    left_by(tmp_path, started_ticks=1)
    assert holder_here(tmp_path) is None
    lock = take_lock(tmp_path)
    assert lock.took_over
    assert lock.took_over.endswith("that process has ended, and its number is another one's now")
    lock.release()


FAR: list[dict[str, Any]] = [{"boot_id": "b", "host": "far"}, {"pid_namespace": "pid:[1]"}]


@pytest.mark.parametrize("change", FAR)
def test_who_cannot_be_asked_counts_by_its_heartbeat(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    left_by(tmp_path, age_s=5.0, **change)
    assert is_held(tmp_path)
    assert "(last heartbeat 5 s ago)" in describe_holder(tmp_path)
    with pytest.raises(NameTakenError, match=r"heartbeat 5 s ago.* --steal-lock") as caught:
        take_lock(tmp_path)
    assert caught.value.exit_code == 4
    left_by(tmp_path, age_s=61.0, **change)
    assert not is_held(tmp_path)
    lock = take_lock(tmp_path)
    assert str(lock.took_over).endswith("its last heartbeat was 61 s ago")
    lock.release()


@pytest.mark.parametrize("change", FAR)
def test_who_cannot_be_asked_loses_its_lock_to_force(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    left_by(tmp_path, **change)
    lock = take_lock(tmp_path, steal=True)
    assert str(lock.took_over).endswith("taken by force, with --steal-lock")
    lock.release()


def test_the_clock_of_this_host_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(tmp_path, age_s=5.0, **FAR[0])
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert is_held(tmp_path)


def test_a_host_that_was_started_anew_has_no_owners_left(tmp_path: Path) -> None:
    uptime_s = time_since_boot_s()
    left_by(tmp_path, boot_id="the one before", age_s=uptime_s + 1)
    assert not is_held(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raytune_pipe.results.holder.time_since_boot_s", lambda: 20.0)
        left_by(tmp_path, boot_id="the one before", age_s=21.0)
        assert not is_held(tmp_path)
        left_by(tmp_path, boot_id="of another host with this name", age_s=19.0)
        assert is_held(tmp_path)


def test_a_holder_that_has_not_said_its_name_is_another_process(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with pytest.raises(NameTakenError, match=r"held by another process \(last heartbeat 0 s ago"):
        take_lock(tmp_path)
    os.utime(tmp_path / LOCK, (time.time() - 61.0,) * 2)
    lock = take_lock(tmp_path)
    assert lock.took_over == "another process: its last heartbeat was 61 s ago"
    lock.release()


def test_a_former_owner_notices_that_it_lost_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.01)
    lock = take_lock(tmp_path)
    os.utime(tmp_path / LOCK, (0, 0))
    wait_until(lambda: (tmp_path / LOCK).stat().st_mtime > 0)  # it beats
    lock.require_held()
    next_owner = create_next(tmp_path, after=1)  # as one on another host does
    assert next_owner
    wait_until(lambda: has_lost(lock))
    with pytest.raises(NameTakenError, match=f"lost it to process {os.getpid()}") as caught:
        lock.require_held()
    assert caught.value.exit_code == 4
    lock.release()
    latest = look_at_latest(tmp_path)
    assert latest
    assert latest.holder == next_owner.holder
    os.close(next_owner.descriptor)


def test_after_a_pause_an_owner_looks_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = take_lock(tmp_path)
    later = time_since_boot_s() + 31.0
    (tmp_path / LOCK).unlink()
    lock.require_held()  # it looked just now
    monkeypatch.setattr(lock_module, "time_since_boot_s", lambda: later)
    with pytest.raises(NameTakenError, match=r"lost its \.lock file"):
        lock.require_held()
    lock.release()


def test_a_storage_out_of_reach_does_not_cost_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    lock = take_lock(folder)
    folder.rename(tmp_path / "away")
    lock._look()
    lock.require_held()
    lock.release()


def test_who_comes_too_late_for_a_number_is_not_the_owner(tmp_path: Path) -> None:
    take_lock(tmp_path).release()
    second = create_next(tmp_path, after=1)
    assert second
    assert create_next(tmp_path, after=1) is None
    third = create_next(tmp_path, after=2)
    assert third
    assert create_next(tmp_path, after=0) is None  # its number was free again
    assert files(tmp_path) == {f"{LOCK}-3"}
    os.close(second.descriptor)
    os.close(third.descriptor)


def test_a_storage_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    lock = take_lock(tmp_path)
    assert create_next(tmp_path, after=0) is None
    assert is_held(tmp_path)
    lock.release()
    assert not is_held(tmp_path)
    assert files(tmp_path) == {LOCK}


def has_lost(lock: Lock) -> bool:
    try:
        lock.require_held()
    except NameTakenError:
        return True
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
