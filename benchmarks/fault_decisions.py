"""Kill real runs of one trial at a time after their k-th report, and compare what is decided.

    python -m benchmarks.fault_decisions

Without Ray the same is done for every k in tests/faults/test_decisions.py.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from raytune_pipe.results.journal import JOURNAL, read_events

from benchmarks.decided import decided, differing
from benchmarks.fault_phases import KilledRun

SCHEDULERS = ("asha", "hyperband", "median", "pbt", "pb2")
KILLS_AFTER = (2, 5, 9)
"""Reports: before the first barrier, and after the first and the second."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(SCHEDULERS), help="A scheduler.")
def main(only: Sequence[str]) -> None:
    """Kill, go on, compare, print; exit with 1 if a decision differs."""
    folder = Path(tempfile.mkdtemp(prefix="fault-decisions-"))
    failed = False
    print("| scheduler | killed after report | decisions and ends | differing |")
    print("| --- " * 4 + "|", flush=True)
    for scheduler in only or SCHEDULERS:
        whole = KilledRun(folder / scheduler, scheduler, concurrent=1)
        whole.end()
        expected = decided(read_events(whole.path / JOURNAL))
        for count in KILLS_AFTER:
            run = KilledRun(folder / f"{scheduler}-{count}", scheduler, concurrent=1)
            run.kill_at(f"report {count}")
            run.end()
            found = decided(read_events(run.path / JOURNAL))
            differences, total = differing(found, expected), sum(map(len, expected.values()))
            print(f"| {scheduler} | {count} | {total} | {differences} |", flush=True)
            for wrong in (*whole.wrong, *run.wrong):
                print(f"    WRONG {wrong}", flush=True)
            failed = failed or bool(differences or whole.wrong or run.wrong)
    if failed:
        sys.exit(f"The runs are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
