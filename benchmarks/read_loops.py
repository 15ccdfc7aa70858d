"""Processes that read a run over and over while it is written and published.

No read may fail, and none may show less than the one before.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.synchronize import Event as Flag
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import pandas as pd

from raytune_pipe import read_results
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import Event
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.tables import Tables
from raytune_pipe.tuning.runner import prepare

from benchmarks.simulated_run import run_to_end

WAIT_S = 120.0
POLL_S = 0.005
SCHEDULERS: dict[str, dict[str, Any]] = {
    "asha": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2},
    "pbt": {"kind": "pbt", "interval_epochs": 1, "quantile": 0.25},
}

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.races", "benchmarks.read_loops"])  # once, not in each


@dataclass
class Reading:
    """What one or more readers saw."""

    reads: int = 0
    """Tables and results that were read."""
    versions: int = 0
    """Those that showed more than the read before."""
    outrun: int = 0
    """Reads that failed and took so long that the table was replaced twice meanwhile."""
    wrong: list[str] = field(default_factory=list)
    """Other reads that failed, that showed less than the one before, or a report twice."""

    def add(self, other: "Reading") -> None:
        """Count another reader's too."""
        self.reads += other.reads
        self.versions += other.versions
        self.outrun += other.outrun
        self.wrong += other.wrong


class Publishes:
    """How often a run was published so far, for processes that read it; nothing where unknown."""

    def __init__(self) -> None:
        self._begun, self._done = _context.Value("q", 0), _context.Value("q", 0)

    @property
    def begun(self) -> int:
        """With the one that goes on."""
        return int(self._begun.value)

    @property
    def done(self) -> int:
        """Without it."""
        return int(self._done.value)

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count what is published in the context; one process only may."""
        self._begun.value += 1
        yield
        self._done.value += 1


def read_table(name: str, run: Path) -> list[int]:
    """How many rows a table has, as any program reads it."""
    table = pd.read_parquet(run / f"{name}.parquet")
    if name == "reports" and table.duplicated(["trial_id", "report"]).any():
        raise ValueError("a report is there twice")
    return [len(table)]


def read_all(run: Path) -> list[int]:
    """How many rows each table of the results has, which are to be of one moment."""
    found = read_results(run)
    last = found.reports.groupby("trial_id")["report"].max()
    told = found.trials.set_index("trial_id")["reports"]
    if not told[told > 0].sort_index().astype(int).equals(last.sort_index().astype(int)):
        raise ValueError("trials and reports are of two moments")
    return [len(found.trials), len(found.reports), len(found.lineage)]


def _read_on(run: Path, publishes: Publishes, ready: Semaphore, ended: Flag, answers: Any) -> None:
    """Read until the run has ended, and once more."""
    ready.release()
    reading, seen = Reading(), dict[str, list[int]]()
    published = [run / f"{name}.parquet" for name in Tables._fields]
    while not all(file.exists() for file in published) and not ended.is_set():
        time.sleep(POLL_S)
    is_over = False
    while not is_over:
        is_over = ended.is_set()
        for name in Tables._fields:
            _look(name, partial(read_table, name), run, publishes, seen, reading)
        _look("read_results", read_all, run, publishes, seen, reading)
    answers.put(reading)


def _look(
    name: str,
    read: Callable[[Path], list[int]],
    run: Path,
    publishes: Publishes,
    seen: dict[str, list[int]],
    reading: Reading,
) -> None:
    """Read one thing, and compare it with the last look at it."""
    reading.reads += 1
    before, done = seen.get(name, [0]), publishes.done
    try:
        rows = read(run)
    except Exception as error:
        if publishes.begun - done > 1:
            reading.outrun += 1
        else:
            reading.wrong.append(f"{name}: {type(error).__name__}: {error}")
        return
    if any(now < then for now, then in zip(rows, before, strict=False)):
        reading.wrong.append(f"{name}: had {before} rows, then {rows}")
    reading.versions += rows > before
    seen[name] = rows


@contextmanager
def readers(run: Path, count: int, found: Reading) -> Iterator[Publishes]:
    """Let so many processes read a run, from its first tables on until the context ends."""
    publishes, ready, ended = Publishes(), _context.Semaphore(0), _context.Event()
    answers = _context.SimpleQueue()
    words = (run, publishes, ready, ended, answers)
    processes = [_context.Process(target=_read_on, args=words) for _ in range(count)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire(timeout=WAIT_S)
    try:
        yield publishes
    finally:
        ended.set()
        for _ in processes:
            found.add(answers.get())
        for process in processes:
            process.join(WAIT_S)


def publish_always(experiment: Experiment, storage: Path, publishes: Publishes) -> None:
    """A run that publishes after each of its events, as fast as it can."""
    with RunDirectory.claim(storage, experiment.name) as run:

        def hear(_event: Event) -> None:
            with publishes.one_more():
                run.publish()

        run_to_end(prepare(experiment, experiment.plan(), run, hear))
        with publishes.one_more():
            run.publish()
