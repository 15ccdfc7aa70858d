"""A driver process that can be killed at a chosen moment, with all that it has started."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from raytune_pipe.results.journal import JOURNAL

from benchmarks.fault_checks import whole_lines
from benchmarks.process_tree import descendants

HANGS_AFTER_S = 180.0
TRAINING = "ray::TrialActor"
"""How the command line begins of a process that holds a trial."""
POLL_S = 0.002
LOOK_EVERY_S = 0.25


MOMENTS = {
    "at any time": 5,
    "after a report": 5,
    "at a start": 1,
    "at a report": 2,
    "at a decision": 2,
    "at an end": 2,
    "at the plan": 1,
    "at the resume": 1,
    "at the finish": 12,
    "while a table is written": 2,
    "while a checkpoint is written": 3,
}
"""Moments of a kill, and how often they are drawn. "At" is within 2 ms of the journal's line."""


class Attempt:
    """A driver process, from its start to its end or its kill."""

    def __init__(self, command: Sequence[str], folder: Path, run: Path) -> None:
        self.run = run
        self.known = len(whole_lines(run / JOURNAL))
        """The length of the journal before it was started, or at the latest kill of a worker."""
        self.goes_on = self.known > 0
        """Whether it goes on with a run that has begun."""
        self.output = folder / "output.txt"
        self._started: set[int] = set()
        self._scratch: set[Path] = set()
        with self.output.open("w") as output:
            # Files that a killed driver leaves in its temporary folder go with the campaign's.
            environment = os.environ | {"TMPDIR": str(folder)}
            self.process = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=output, env=environment
            )

    @property
    def has_ended(self) -> bool:
        """Whether the driver has ended."""
        return self.process.poll() is not None

    def news(self) -> bytes:
        """What it has added to the journal so far."""
        return whole_lines(self.run / JOURNAL)[self.known :]

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False if the driver ended before."""
        deadline = time.monotonic() + HANGS_AFTER_S
        look_at = 0.0
        while not self.has_ended and time.monotonic() < deadline:
            if condition():
                return True
            if time.monotonic() > look_at:
                self._look_at_processes()
                look_at = time.monotonic() + LOOK_EVERY_S
            time.sleep(POLL_S)
        return False

    def _look_at_processes(self) -> None:
        """Note what it has started: once the driver has ended, nothing tells."""
        for pid in descendants(self.process.pid):
            self._started.add(pid)
            folders = re.findall(r"/tmp/raytune-pipe-[\w-]+", command_line(pid))
            self._scratch |= {Path(folder) for folder in folders}

    def left_over(self) -> list[int]:
        """Those of its processes that still run."""
        return [pid for pid in self._started if command_line(pid)]

    def workers(self) -> list[int]:
        """Those of its processes that still hold a trial, whether the driver lives or not."""
        self._look_at_processes()
        return [pid for pid in self.left_over() if command_line(pid).startswith(TRAINING)]

    def kill(self) -> None:
        """Kill the driver."""
        self._look_at_processes()
        self.process.kill()
        self.process.wait()

    def clear_away(self) -> None:
        """Delete what a killed driver left of Ray in /tmp."""
        for scratch in self._scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def command_line(pid: int) -> str:
    """The command line of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def draw_moment(attempt: Attempt, rng: random.Random, *, has_decisions: bool, is_last: bool) -> str:
    """A moment that can come in this attempt; the finish only for the last kill of a run."""
    impossible = {"at the plan" if attempt.goes_on else "at the resume"}
    impossible |= set() if has_decisions else {"at a decision"}
    impossible |= set() if is_last else {"at the finish"}
    moments = {name: weight for name, weight in MOMENTS.items() if name not in impossible}
    return rng.choices(list(moments), list(moments.values()))[0]


def await_moment(attempt: Attempt, moment: str, rng: random.Random) -> bool:
    """Wait for the moment of a kill; False if the run was over before."""
    if moment == "at any time":
        ends = time.monotonic() + rng.uniform(0, 12)
        return attempt.wait_until(lambda: time.monotonic() > ends)
    if moment == "while a table is written":
        return attempt.wait_until(lambda: any(attempt.run.glob(".*.tmp")))
    if moment == "while a checkpoint is written":
        skipped = rng.uniform(0, 1)
        return attempt.wait_until(
            lambda: any(attempt.run.glob("checkpoints/*/.*")) and rng.random() > skipped
        )
    kind = moment.rpartition(" ")[2].encode()
    highest = {b"plan": 1, b"resume": 1, b"finish": 1, b"report": 10}.get(kind, 4)
    count = rng.randint(1, highest)
    happened = attempt.wait_until(lambda: attempt.news().count(b'{"event":"%b"' % kind) >= count)
    if happened and moment.startswith("after"):
        time.sleep(rng.uniform(0, 0.3))
    return happened and not attempt.has_ended
