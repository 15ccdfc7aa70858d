"""Twenty processes that want one run at the same moment: one gets it, the others exit with 4.

First through the library, in processes that are all there before each round; then as real
commands, of which the one that wins is ended by SIGTERM, so that twenty more can go on with it.

    python -m benchmarks.ownership
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from raytune_pipe.results.journal import JOURNAL, read_events

from benchmarks.process_tree import descendants
from benchmarks.races import RACES, Storage, race, take_turns

EXPERIMENT = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [16]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 1000
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.1}
trials: 2
resources: {cpus: 1, gpus: 0}
"""
STORAGES = (Storage(), Storage(has_flock=False), Storage(has_flock=False, has_links=False))
ENDS_WITHIN_S = 180.0
POLL_S = 0.05


@dataclass
class Commands:
    """What the rounds of real commands came to."""

    rounds: int = 0
    single_winners: int = 0
    """Rounds in which all but one exited with 4."""
    refused: int = 0
    refused_after_s: list[float] = field(default_factory=list)
    """How long each refused command took, with the start of Python."""
    wrong: list[str] = field(default_factory=list)


def race_commands(words: Sequence[str], run: Path, processes: int, found: Commands) -> None:
    """Start one command many times at once; end the one that got the run, after a report."""
    started = time.monotonic()
    running = [_started(words) for _ in range(processes)]
    refused: set[subprocess.Popen[bytes]] = set()
    reports = _reports(run)
    had_ray: set[int] = set()
    while len(refused) < processes - 1 or _reports(run) == reports:
        if time.monotonic() > started + ENDS_WITHIN_S:
            found.wrong.append(f"hangs: {len(refused)} refused, {_reports(run) - reports} reports")
            break
        for process in running:
            if any(_is_of_ray(pid) for pid in descendants(process.pid)):
                had_ray.add(process.pid)
            if process not in refused and process.poll() is not None:
                refused.add(process)
                found.refused_after_s.append(time.monotonic() - started)
        time.sleep(POLL_S)
    winners = [process for process in running if process not in refused]
    for winner in winners:
        winner.send_signal(signal.SIGTERM)
    told = {process: process.communicate(timeout=ENDS_WITHIN_S)[1] for process in running}
    exits_4 = [process for process in refused if process.returncode == 4]
    found.rounds += 1
    found.refused += len(exits_4)
    found.single_winners += len(exits_4) == processes - 1
    found.wrong += [f"{told[one][-300:]!r}" for one in refused if one.returncode != 4]
    found.wrong += [f"exit {one.returncode}" for one in winners if one.returncode != 143]
    found.wrong += [f"Ray under {one.pid}" for one in exits_4 if one.pid in had_ray]


def _started(words: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "raytune_pipe", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _is_of_ray(pid: int) -> bool:
    try:
        return b"ray" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False


def _reports(run: Path) -> int:
    journal = run / JOURNAL
    return sum(one["event"] == "report" for one in read_events(journal)) if journal.exists() else 0


def _race_in_library(rounds: int, processes: int) -> bool:
    """Race with the library's calls, and print what came of it; whether all was well."""
    print("| race for | file system | rounds | with one winner | refused | slowest answer |")
    print("| --- | --- | --- | --- | --- | --- |")
    well = True
    for storage in STORAGES:
        with tempfile.TemporaryDirectory() as folder:
            for kind, found in race(Path(folder), rounds, processes, storage).items():
                print(
                    f"| {RACES[kind]} | {storage} | {found.rounds} | {found.single_winners} | "
                    f"{found.refused} of {rounds * (processes - 1)} | {found.slowest_s:.2f} s |",
                    flush=True,
                )
                well = well and not found.wrong
                for wrong in found.wrong:
                    print(f"    WRONG {wrong}")
    return well


def _scramble(turns: int, processes: int) -> bool:
    """Let all own one folder in turn, and print whether each was alone; whether all were."""
    print("\n| file system | processes | turns as the owner | not alone |")
    print("| --- | --- | --- | --- |")
    well = True
    for storage in STORAGES:
        with tempfile.TemporaryDirectory() as folder:
            had, overlaps = take_turns(Path(folder), turns, processes, storage)
        print(f"| {storage} | {processes} | {had} | {overlaps} |", flush=True)
        well = well and (had, overlaps) == (turns * processes, 0)
    return well


def _race_with_commands(rounds: int, processes: int) -> bool:
    launches, resumes = Commands(), Commands()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiment.yaml"
        for number in range(rounds):
            file.write_text(f"{EXPERIMENT}storage: {folder}/{number}\n")
            run = Path(folder) / str(number) / "run"
            race_commands(["launch", str(file)], run, processes, launches)
            race_commands(["resume", str(run)], run, processes, resumes)
    print("\n| command | rounds | with one winner | refused with exit 4 | slowest refusal |")
    print("| --- | --- | --- | --- | --- |")
    for name, found in (("launch", launches), ("resume", resumes)):
        asked, slowest_s = found.rounds * (processes - 1), max(found.refused_after_s, default=0.0)
        print(
            f"| `{name}` | {found.rounds} | {found.single_winners} | {found.refused} of {asked} | "
            f"{slowest_s:.1f} s |"
        )
        for wrong in found.wrong:
            print(f"    WRONG {wrong}")
    return not launches.wrong + resumes.wrong


@click.command()
@click.option("--rounds", default=50, show_default=True, help="Of each race in the library.")
@click.option("--processes", default=20, show_default=True)
@click.option("--turns", default=10, show_default=True, help="Of each process in a scramble.")
@click.option("--command-rounds", default=3, show_default=True, help="Of real commands.")
def main(rounds: int, processes: int, turns: int, command_rounds: int) -> None:
    """Race, print; exit with 1 where a run had two owners, or none, or a refusal was not one."""
    well = _race_in_library(rounds, processes)
    well = _scramble(turns, processes) and well
    well = _race_with_commands(command_rounds, processes) and well
    sys.exit(not well)


if __name__ == "__main__":
    main()
