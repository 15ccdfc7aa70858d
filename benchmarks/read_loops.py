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
    wrong: list[str] = field(default_factory=list)
    """Reads that failed, that showed less than the one before, or a report twice."""

    def add(self, other: "Reading") -> None:
        """Count another reader's too."""
        self.reads += other.reads
        self.versions += other.versions
        self.wrong += other.wrong


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


def _read_on(run: Path, ended: Flag, answers: Any) -> None:
    """Read until the run has ended, and once more."""
    reading, seen = Reading(), dict[str, list[int]]()
    published = [run / f"{name}.parquet" for name in Tables._fields]
    while not all(file.exists() for file in published) and not ended.is_set():
        time.sleep(POLL_S)
    is_over = False
    while not is_over:
        is_over = ended.is_set()
        for name in Tables._fields:
            _look(name, partial(read_table, name), run, seen, reading)
        _look("read_results", read_all, run, seen, reading)
    answers.put(reading)


def _look(
    name: str,
    read: Callable[[Path], list[int]],
    run: Path,
    seen: dict[str, list[int]],
    reading: Reading,
) -> None:
    """Read one thing, and compare it with the last look at it."""
    reading.reads += 1
    before = seen.get(name, [0])
    try:
        rows = read(run)
    except Exception as error:
        reading.wrong.append(f"{name}: {type(error).__name__}: {error}")
        return
    if any(now < then for now, then in zip(rows, before, strict=False)):
        reading.wrong.append(f"{name}: had {before} rows, then {rows}")
    reading.versions += rows > before
    seen[name] = rows


@contextmanager
def readers(run: Path, count: int, found: Reading) -> Iterator[None]:
    """Let so many processes read a run, from its first tables on until the context ends."""
    ended, answers = _context.Event(), _context.SimpleQueue()
    processes = [
        _context.Process(target=_read_on, args=(run, ended, answers)) for _ in range(count)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        ended.set()
        for _ in processes:
            found.add(answers.get())
        for process in processes:
            process.join(WAIT_S)


def publish_always(experiment: Experiment, storage: Path) -> int:
    """A run that publishes after each of its events, as fast as it can; how often it did."""
    published = 0
    with RunDirectory.claim(storage, experiment.name) as run:

        def hear(_event: Event) -> None:
            nonlocal published
            run.publish()
            published += 1

        run_to_end(prepare(experiment, experiment.plan(), run, hear))
        run.publish()
    return published
