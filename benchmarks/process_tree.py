"""CPU seconds of a command with everything it started, also what outlives it."""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_INTERVAL_S = 0.02


@dataclass(frozen=True)
class Cost:
    """What a command cost."""

    cpu_s: float
    wall_s: float
    started: float
    """Seconds since the epoch."""


def measure(command: Sequence[str], env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; raises CalledProcessError if it fails.

    The CPU time of every descendant is read from /proc 50 times a second: Ray's daemon ignores
    SIGCHLD, so what its workers used is in nobody's `getrusage`. This process adopts what the
    command leaves behind, and waits for it.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("cannot adopt orphans on this system")
    started, wall = time.time(), time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | (env or {}), stdout=subprocess.DEVNULL)
    ticks: dict[int, int] = {}
    wall_s = None
    while _alive(ticks):
        if wall_s is None and process.poll() is not None:
            wall_s = time.perf_counter() - wall
        time.sleep(_INTERVAL_S)
    wall_s = wall_s or time.perf_counter() - wall
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(sum(ticks.values()) / _TICKS_PER_S, wall_s, started)


def _alive(ticks: dict[int, int]) -> bool:
    """Note the CPU ticks of all descendants; whether there are any but zombies."""
    alive = False
    for pid in descendants(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks[pid] = int(fields[11]) + int(fields[12])
        alive = alive or fields[0] != "Z"
    return alive


def descendants(pid: int) -> Iterator[int]:
    """The process ids of all children of a process, and theirs."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [
            each for thread in threads for each in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)
