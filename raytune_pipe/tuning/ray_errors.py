"""What Ray's errors mean: our own in disguise, a worker that is gone, an exception in one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from raytune_pipe.tuning.assignment import Failure, failure_told

# Of a process that dies Ray hears from its node within milliseconds; it calls an actor unavailable
# where it lost the connection and the node says nothing.
_NODE_IS_GONE = re.compile(r"node (has )?died|NodeDiedError|actor .*unavailable", re.I)
_ACTOR_IS_GONE = re.compile(r"actor (has )?died|ActorDiedError", re.I)


class RayEnded(Exception):
    """Ray Tune ended by itself, before all trials had."""


class FirstError:
    """The first exception in a call-back. Ray turns all of them into text of its own."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self.is_inside = False
        """Whether a call-back of ours runs just now."""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an exception on its way to Ray."""
        self.is_inside = True
        try:
            yield
        except Exception as error:
            self._error = self._error or error
            raise
        finally:
            self.is_inside = False

    @contextmanager
    def told_from_rays(self) -> Iterator[None]:
        """Raise what was noted instead of what Ray made of it, and `RayEnded` for Ray's own."""
        try:
            yield
        except Exception as error:
            if self._error is not None:
                raise self._error from None
            raise RayEnded(f"{type(error).__name__}: {error}") from error


def failure_of(text: str, *, memory_was_short: bool) -> Failure:
    """The failure that Ray's text of an error tells of.

    ``memory_was_short``: whether the machine's kernel has killed a process for want of memory
    since the last look.
    """
    if told := failure_told(text):
        return told
    if "ray::" in text:  # an exception in a process that is alive
        last_line = [line.strip() for line in text.splitlines() if line.strip()][-1]
        return Failure("out_of_memory" if "OutOfMemory" in text else "exception", last_line, text)
    if _NODE_IS_GONE.search(text):
        return Failure("node_lost", "the node of its worker was lost", text)
    if not _ACTOR_IS_GONE.search(text):
        return Failure("exception", text.strip().rpartition("\n")[-1] or "the worker failed", text)
    if memory_was_short:
        reason = "the worker process died while the machine ran out of memory"
        return Failure("out_of_memory", reason, text)
    return Failure("worker_died", "the worker process died", text)


class KilledForMemory(NamedTuple):
    """A worker that Ray's memory monitor has killed."""

    gib: float
    process: int


def killed_for_memory(text: str) -> KilledForMemory | None:
    """The largest of the workers that Ray's text tells were killed for want of memory, if any."""
    found = re.findall(r"pid=(\d+), actual memory used=([\d.]+)GB", text)
    return max((KilledForMemory(float(gib), int(pid)) for pid, gib in found), default=None)


class MemoryKills:
    """Counts the processes that this machine's kernel has killed for want of memory."""

    def __init__(self) -> None:
        self._seen = _memory_kills()

    def are_new(self) -> bool:
        """Whether there were any since the last time this was asked."""
        before, self._seen = self._seen, _memory_kills()
        return self._seen > before


def _memory_kills() -> int:
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:  # not Linux
        return 0
    found = re.search(r"^oom_kill (\d+)$", counters, re.M)
    return int(found[1]) if found else 0
