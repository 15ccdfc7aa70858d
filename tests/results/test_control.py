import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

import pytest

from raytune_pipe.results.control import (
    end_now,
    follow,
    has_ended,
    request_stop,
    take_stop_request,
)
from raytune_pipe.results.encoding import encode
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, Journal, read_events
from raytune_pipe.results.lock import take_lock

HOLDS = """\
import sys, time
from pathlib import Path
from raytune_pipe.results.lock import take_lock
take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HOLDS


@pytest.fixture
def data(small_run: list[Event], tmp_path: Path) -> bytes:
    """A whole journal."""
    journal = Journal.create(tmp_path / "whole.jsonl")
    journal.append(*small_run)
    journal.close()
    return (tmp_path / "whole.jsonl").read_bytes()


def texts(events: Iterable[Event]) -> list[bytes]:
    """Events as text, in which NaN equals itself."""
    return [encode(event) for event in events]


def test_a_reader_gives_whole_events_only_as_the_file_grows(tmp_path: Path, data: bytes) -> None:
    whole = texts(read_events(tmp_path / "whole.jsonl"))
    growing = tmp_path / JOURNAL
    growing.touch()
    reader, read = read_events(growing), list[bytes]()
    for size in range(0, len(data) + 97, 97):  # cuts lines anywhere
        growing.write_bytes(data[:size])
        read += texts(reader)
        lines = data[:size].count(b"\n")
        assert read == whole[:lines]
    assert read == whole


def test_following_ends_with_the_last_event_once_nobody_runs_it(
    tmp_path: Path, data: bytes
) -> None:
    half = len(data) // 2
    (tmp_path / JOURNAL).write_bytes(data[:half])
    lock = take_lock(tmp_path)
    read: list[Event] = []
    follower = Thread(target=lambda: read.extend(follow(tmp_path, poll_s=0.01)))
    follower.start()
    with (tmp_path / JOURNAL).open("ab", buffering=0) as journal:
        for start in range(half, len(data), 500):
            time.sleep(0.02)
            journal.write(data[start : start + 500])
    lock.release()
    follower.join(timeout=10)
    assert not follower.is_alive()
    assert texts(read) == texts(read_events(tmp_path / "whole.jsonl"))


def test_a_request_to_stop_is_taken_once(tmp_path: Path) -> None:
    assert not take_stop_request(tmp_path)
    request_stop(tmp_path)
    assert take_stop_request(tmp_path)
    assert not take_stop_request(tmp_path)


def test_waiting_for_the_end_does_not_wait_for_ever(tmp_path: Path) -> None:
    lock = take_lock(tmp_path)
    assert not has_ended(tmp_path, within_s=0.01)
    lock.release()
    assert has_ended(tmp_path, within_s=0.0)


@pytest.mark.parametrize(("code", "sent"), [(HOLDS, signal.SIGTERM), (DEAF, signal.SIGKILL)])
def test_a_process_is_ended_by_sigterm_or_else_by_sigkill(
    tmp_path: Path, code: str, sent: signal.Signals
) -> None:
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        end_now(tmp_path, kill_after_s=0.2)
        assert process.wait(timeout=10) == -sent
    assert has_ended(tmp_path, within_s=0.0)
