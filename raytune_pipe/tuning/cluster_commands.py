"""Running the commands of a cluster file: in order, tunnels beside them, signals passed on."""

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.cluster_files import Step
from raytune_pipe.tuning.reaching import accepts
from raytune_pipe.tuning.signals import SIGNALS

TUNNEL_WITHIN_S = 60.0
"""Seconds that a tunnel has to open its port."""
TUNNEL_END_S = 10.0
"""Seconds that a tunnel has to end before it is killed."""

PORTS = range(20_000, 30_000)
"""Of tunnels: above Ray's own, below those that the kernel gives to connections."""

STDERR = 2
"""The file descriptor: commands write there themselves, past `sys.stderr`."""

HOW_TO_GET = {
    "ray": "pip install 'raytune-pipe[cluster]'",
    "kubectl": "install it, and point it at your Kubernetes",
    "sbatch": "run this on a login node of the Slurm cluster",
}


def free_port() -> int:
    """A port where nothing listens on loopback, drawn so that two launches at once take two.

    Raises:
        ClusterError: of a hundred that were drawn all are taken.
    """
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ClusterError(
        f"a port from {PORTS.start} to {PORTS.stop - 1} must be free on 127.0.0.1 for the tunnel "
        "to the cluster, but of a hundred all are taken; end the tunnels that are not needed"
    )


def run_steps(steps: Sequence[Step], say: Callable[[str], None]) -> int:
    """Run the commands one after the other; the exit code of the one that decides, else 0.

    Only that one writes on stdout; what the others print goes to stderr. Tunnels end with it.

    Args:
        steps: In their order.
        say: Gets each command as it begins.

    Raises:
        ClusterError: a command is missing, or ends with another exit code than 0.
        KeyboardInterrupt: a signal ended a command before the one that decides.
    """
    programs = [_program(step.words[0]) for step in steps]
    with _Signals() as signals, ExitStack() as tunnels:
        for step, program in zip(steps, programs, strict=True):
            say(step.line)
            words = [program, *step.words[1:]]
            if step.tunnel_port:
                tunnels.enter_context(_tunnel(step, words, step.tunnel_port))
                continue
            code = signals.wait(words, to_stderr=not step.decides)
            if step.decides:
                return code
            if code:
                raise ClusterError(_failed(step, code))
    return 0


def _program(name: str) -> str:
    """Where a command lies: on the PATH, else beside the interpreter, as in a virtual environment.

    Raises:
        ClusterError: nowhere.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise ClusterError(
            f"the command {name} must be there, but is not on the PATH; "
            + HOW_TO_GET.get(name, "install it")
        )
    return found


class _Signals:
    """Signals are for the command that runs: it ends as it does on them, and only then do we.

    Ctrl-C reaches it through the terminal; SIGTERM and SIGHUP are passed on.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._came = False

    def __enter__(self) -> "_Signals":
        in_main = threading.current_thread() is threading.main_thread()
        self._before = {
            number: signal.signal(number, self._on_signal) for number in SIGNALS if in_main
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, words: Sequence[str], *, to_stderr: bool) -> int:
        """The exit code of a command, as a shell tells it.

        Raises:
            KeyboardInterrupt: a signal came meanwhile, and the command does not decide.
        """
        self._child = subprocess.Popen(words, stdout=STDERR if to_stderr else None)
        try:
            code = self._child.wait()
        finally:
            self._child = None
        if self._came and to_stderr:
            raise KeyboardInterrupt
        return code if code >= 0 else 128 - code

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._came = True
        if self._child is None:
            raise KeyboardInterrupt
        if number != signal.SIGINT:
            self._child.send_signal(number)


@contextmanager
def _tunnel(step: Step, words: Sequence[str], port: int) -> Iterator[None]:
    """A tunnel that is open, and ends with all it started.

    Raises:
        ClusterError: it ended, or its port does not open in time.
    """
    # In a session of its own: Ctrl-C is for the launch that goes through it.
    child = subprocess.Popen(words, stdout=STDERR, start_new_session=True)
    try:
        deadline = time.monotonic() + TUNNEL_WITHIN_S
        while not accepts("127.0.0.1", port, within_s=1.0):
            code = child.poll()
            if code is not None:
                raise ClusterError(_failed(step, code))
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{shlex.join(step.words)} must open 127.0.0.1:{port} within "
                    f"{TUNNEL_WITHIN_S:g} s, but does not; {step.if_it_fails}"
                )
            time.sleep(0.1)
        yield
    finally:
        _end_session(child)


def _end_session(child: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and what runs in its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None:
            os.killpg(child.pid, number)
            try:
                child.wait(TUNNEL_END_S)
            except subprocess.TimeoutExpired:
                continue


def _failed(step: Step, code: int) -> str:
    return f"{shlex.join(step.words)} must succeed, but exited with {code}; {step.if_it_fails}"
