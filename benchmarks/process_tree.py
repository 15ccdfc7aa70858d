"""CPU seconds of a command with everything it started, also what outlives it."""

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """What a command cost."""

    cpu_s: float
    wall_s: float
    started: float
    """Seconds since the epoch."""


def measure(command: Sequence[str], env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; raises CalledProcessError if it fails.

    This process adopts what the command leaves behind (Ray's daemons, its workers) and waits for
    it, so that none of its CPU time is missed.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("cannot adopt orphans on this system")
    before = _children_cpu_s()
    started, wall = time.time(), time.perf_counter()
    subprocess.run(
        command, check=True, env=os.environ | (env or {}), stdout=subprocess.DEVNULL, stderr=None
    )
    wall_s = time.perf_counter() - wall
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    return Cost(_children_cpu_s() - before, wall_s, started)


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
