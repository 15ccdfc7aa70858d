"""The process that holds a run: where it runs, and whether it can still be there."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from raytune_pipe.base import to_json

_PROC = Path("/proc")
_STARTED = 19
"""Where field 22 of /proc/PID/stat, the start, is among those that follow the command's name."""


@dataclass(frozen=True)
class Holder:
    """A process that took the lock of a run, told so that other hosts can judge it too.

    A process id alone does not name a process: it is given out again, and again after a reboot,
    and each container counts its own. What the system does not tell is None.
    """

    host: str
    pid: int
    boot_id: str | None
    """Of the running kernel."""
    pid_namespace: str | None
    """Within which the process id counts."""
    started_ticks: int | None
    """When the process started, in clock ticks from the boot."""
    token: int
    """Of this taking of the lock, and of no other."""
    has_flock: bool
    """Whether the operating system holds the file locked as long as the process lives."""
    released: bool = False

    @classmethod
    def here(cls, token: int, *, has_flock: bool) -> Self:
        """The process that asks."""
        boot_id, namespace = _this_kernel()
        started, host = _started_ticks(os.getpid()), socket.gethostname()
        return cls(host, os.getpid(), boot_id, namespace, started, token, has_flock)

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """The holder that a lock file tells of; None where it tells of none."""
        try:
            holder = cls(**json.loads(data))
        except (ValueError, TypeError):
            return None
        return holder if type(holder.pid) is int and isinstance(holder.host, str) else None

    def to_bytes(self) -> bytes:
        """As a lock file tells it: of one length, so that one write says that it is released."""
        plain: dict[str, Any] = asdict(self)
        length = len(to_json({**plain, "released": False}))
        return to_json(plain).ljust(length).encode()

    def as_released(self) -> Self:
        """The same, which has let the run go."""
        return replace(self, released=True)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_under_this_kernel(self) -> bool:
        """Whether it runs, or ran, where a lock of the operating system tells of it."""
        boot_id, _ = _this_kernel()
        if boot_id is None or self.boot_id is None:
            return self.host == socket.gethostname()
        return self.boot_id == boot_id

    @property
    def is_visible(self) -> bool:
        """Whether its process id means here what it means there."""
        return self.is_under_this_kernel and self.pid_namespace == _this_kernel()[1]

    def why_gone(self) -> str | None:
        """Why a process that is visible here is not there any more; None where it is."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return "that process has ended"
        except PermissionError:  # it is somebody else's, and there
            pass
        if self.started_ticks is None or not _PROC.joinpath("self/stat").exists():
            return None
        started = _started_ticks(self.pid)
        if started is None:
            return "that process has ended"
        if started != self.started_ticks:
            return "that process has ended, and its number is another one's now"
        return None

    def ended_before_this_boot(self, beat_age_s: float) -> bool:
        """Whether it ran on this host before the host was started anew.

        Another host may have the same name: it has written since this one was started.
        """
        is_of_this_name = self.host == socket.gethostname() and not self.is_under_this_kernel
        return is_of_this_name and beat_age_s >= time_since_boot_s()


def time_since_boot_s() -> float:
    """Seconds since the boot, those included in which the host was asleep, where it tells."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@cache
def _this_kernel() -> tuple[str | None, str | None]:
    """The id of its boot, and the namespace of our process ids."""
    try:
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return boot_id, str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None, None


def _started_ticks(pid: int) -> int | None:
    """When a process started; None where there is none, or only a zombie, or nothing tells."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[_STARTED])
