"""Many processes that want one run at the same moment: exactly one may get it."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Literal, NoReturn

from raytune_pipe.base import NameTakenError, RaytunePipeError
from raytune_pipe.results.holder import Holder
from raytune_pipe.results.lock import STALE_AFTER_S, take_lock
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.results.run_directory import RunDirectory

Race = Literal["claim", "killed", "far", "again"]
RACES: dict[Race, str] = {
    "claim": "a name that is free",
    "killed": "a run whose process was killed",
    "far": "a run that a silent host left",
    "again": "a run that was let go, the same one in all rounds",
}
DAWDLES = ("open", "scandir", "link", "unlink", "mkdir")
"""Calls of the operating system before which a racing process waits."""
LONGEST_DAWDLE_S = 0.002
WAIT_S = 60.0
"""Longest wait of one for the others."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.races", "benchmarks.read_loops"])  # once, not in each


@dataclass(frozen=True)
class Storage:
    """What the file system can do; what it cannot is made to fail in each racing process.

    A file system without locks cannot be mounted everywhere, so that `fcntl.flock` is replaced
    there by a function that fails as it does on one; likewise `os.link`.
    """

    has_flock: bool = True
    has_links: bool = True

    def __str__(self) -> str:
        has = {"flock": self.has_flock, "links": self.has_links}
        missing = [name for name, is_there in has.items() if not is_there]
        return f"without {' and '.join(missing)}" if missing else "as it is"

    def pretend(self) -> None:
        """Let this process see such a file system."""
        if not self.has_flock:
            fcntl.flock = _no_locks
        if not self.has_links:
            os.link = _no_links


def _dawdle() -> None:
    """Let this process wait a random while between its file operations.

    Each takes microseconds: one process would be done before the next one has seen anything.
    """
    rng = random.Random(os.getpid())

    def after_a_while(call: Callable[..., Any]) -> Callable[..., Any]:
        def wait_and_call(*words: Any, **named: Any) -> Any:
            time.sleep(rng.uniform(0, LONGEST_DAWDLE_S))
            return call(*words, **named)

        return wait_and_call

    for name in DAWDLES:
        setattr(os, name, after_a_while(getattr(os, name)))


def _no_locks(*_: object) -> NoReturn:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _no_links(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@dataclass
class Found:
    """What all rounds of a race came to."""

    rounds: int = 0
    single_winners: int = 0
    """Rounds with exactly one winner."""
    refused: int = 0
    """Processes that were refused with exit code 4, and told by whom the run is held."""
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    """The longest that one took to own the run, or to be refused."""


def race(folder: Path, rounds: int, processes: int, storage: Storage) -> dict[Race, Found]:
    """Let the processes race, round after round; they are all there before the first one."""
    found = {kind: Found() for kind in RACES}
    with _racers(folder, rounds, processes, storage, _run_rounds) as (barrier, answers):
        for kind, number in _rounds(rounds):
            _prepare(kind, folder, number, storage)
            barrier.wait(WAIT_S)
            told = [answers.get() for _ in range(processes)]
            _count(kind, told, found[kind])
            barrier.wait(WAIT_S)  # only now does the winner let the run go
            barrier.wait(WAIT_S)
    return found


def _rounds(count: int) -> Iterator[tuple[Race, int]]:
    return ((kind, number) for kind in RACES for number in range(count))


def take_turns(folder: Path, turns: int, processes: int, storage: Storage) -> tuple[int, int]:
    """Let each process own the same folder so many times, all in a scramble.

    Returns how many turns there were, and in how many the owner was not alone.
    """
    with _racers(folder, turns, processes, storage, _run_turns) as (barrier, answers):
        barrier.wait(WAIT_S)
        told = [answers.get() for _ in range(processes)]
    return sum(had for had, _ in told), sum(overlaps for _, overlaps in told)


def _run_turns(folder: Path, turns: int, storage: Storage, barrier: Barrier, answers: Any) -> None:
    storage.pretend()
    _dawdle()
    inside, had, overlaps = folder / "inside", 0, 0
    barrier.wait(WAIT_S)
    until = time.monotonic() + WAIT_S
    while had < turns and time.monotonic() < until:
        try:
            lock = take_lock(folder)
        except NameTakenError:
            time.sleep(LONGEST_DAWDLE_S)
            continue
        try:
            inside.touch(exist_ok=False)
            inside.unlink()
        except FileExistsError:
            overlaps += 1
        had += 1
        lock.release()
    answers.put((had, overlaps))


@contextmanager
def _racers(
    folder: Path, rounds: int, processes: int, storage: Storage, run: Callable[..., None]
) -> Iterator[tuple[Barrier, Any]]:
    barrier, answers = _context.Barrier(processes + 1), _context.SimpleQueue()
    words = (folder, rounds, storage, barrier, answers)
    racers = [_context.Process(target=run, args=words) for _ in range(processes)]
    for racer in racers:
        racer.start()
    try:
        yield barrier, answers
    except BaseException:
        barrier.abort()
        raise
    finally:
        for racer in racers:
            racer.join(WAIT_S)


def _run_rounds(
    folder: Path, rounds: int, storage: Storage, barrier: Barrier, answers: Any
) -> None:
    """What each racing process does."""
    storage.pretend()
    _dawdle()
    for kind, number in _rounds(rounds):
        barrier.wait(WAIT_S)
        run: RunDirectory | None = None
        started = time.perf_counter()
        try:
            run = _take(kind, folder, number)
            answer = 0, ""
        except RaytunePipeError as error:
            answer = error.exit_code, str(error)
        except Exception as error:
            answer = 1, repr(error)
        answers.put((*answer, time.perf_counter() - started))
        barrier.wait(WAIT_S)
        if run:
            run.close()
        barrier.wait(WAIT_S)


def _take(kind: Race, folder: Path, number: int) -> RunDirectory:
    if kind == "claim":
        return RunDirectory.claim(folder, _name(kind, number))
    return RunDirectory.reopen(folder / _name(kind, number))


def _name(kind: Race, number: int) -> str:
    return kind if kind == "again" else f"{kind}-{number}"


def _prepare(kind: Race, folder: Path, number: int, storage: Storage) -> None:
    """Make the run that is raced for."""
    run = folder / _name(kind, number)
    if kind == "claim" or (kind == "again" and run.exists()):
        return
    if kind == "killed":
        process = _context.Process(target=_claim_and_die, args=(folder, run.name, storage))
        process.start()
        process.join(WAIT_S)
        if process.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"{run}: its process must have been killed, but has not been")
        return
    RunDirectory.claim(folder, run.name).close()
    if kind == "far":
        here = Holder.here(1, has_flock=storage.has_flock)
        (run / LOCK).write_text(json.dumps(asdict(replace(here, host="far", boot_id="another"))))
        os.utime(run / LOCK, (time.time() - STALE_AFTER_S - 1,) * 2)


def _claim_and_die(folder: Path, name: str, storage: Storage) -> None:
    storage.pretend()
    RunDirectory.claim(folder, name)
    os.kill(os.getpid(), signal.SIGKILL)


def _count(kind: Race, told: list[tuple[int, str, float]], found: Found) -> None:
    winners = sum(code == 0 for code, _, _ in told)
    said = "the name must be free, but it is taken" if kind == "claim" else "but it is held by "
    refused = sum(code == 4 and said in message for code, message, _ in told)
    found.rounds += 1
    found.single_winners += winners == 1
    found.refused += refused
    found.slowest_s = max([found.slowest_s, *(seconds for *_, seconds in told)])
    if winners != 1:
        found.wrong.append(f"round {found.rounds}: {winners} winners")
    if winners + refused != len(told):
        others = {text for code, text, _ in told if code and not (code == 4 and said in text)}
        found.wrong.append(f"round {found.rounds}: {sorted(others)}")
