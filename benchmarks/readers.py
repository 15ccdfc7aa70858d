"""Read runs over and over while they are written and published: no read may fail, or show less.

First runs without training, which publish after every event; then a real launch. Outrun is a read
that failed since the table was replaced twice between its first byte and its last: a launch, whose
tables stay for 5 s at least, gives it that time.

    python -m benchmarks.readers
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.read_loops import SCHEDULERS, Reading, publish_always, readers
from benchmarks.simulated_run import experiment_of

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def launch(file: Path, trials: int) -> None:
    """A real launch of an experiment file, shortened to so many trials."""
    words = ["launch", str(file), "--set", f"trials={trials}", "--set", f"storage={file.parent}"]
    subprocess.run([sys.executable, "-m", "raytune_pipe", *words], check=True, capture_output=True)


def _row(what: str, count: int, found: Reading, published: str, seconds: float) -> bool:
    print(
        f"| {what} | {count} | {published} | {found.reads:,} | {found.versions:,} | "
        f"{found.outrun} | {len(found.wrong)} | {seconds:.0f} s |",
        flush=True,
    )
    for wrong in found.wrong[:5]:
        print(f"    WRONG {wrong}")
    return not found.wrong


@click.command()
@click.option("--trials", default=32, show_default=True, help="Of each run without training.")
@click.option("--launch-trials", default=150, show_default=True, help="Of the real launch.")
def main(trials: int, launch_trials: int) -> None:
    """Read, print; exit with 1 where a read failed, or showed less than the one before."""
    print("| run | readers | publishes | reads | with news | outrun | failed or shrunk | time |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    well = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, scheduler in SCHEDULERS.items():
            started, found = time.monotonic(), Reading()
            experiment = experiment_of(scheduler, trials=trials, epochs=8)
            with readers(folder / kind / experiment.name, 4, found) as publishes:
                publish_always(experiment, folder / kind, publishes)
            seconds = time.monotonic() - started
            well = _row(f"{kind}, no training", 4, found, f"{publishes.done:,}", seconds) and well
        started, found = time.monotonic(), Reading()
        file = folder / "asha_mlp.yaml"
        file.write_text((EXPERIMENTS / file.name).read_text())
        with readers(folder / "asha_mlp", 2, found):
            launch(file, launch_trials)
        seconds = time.monotonic() - started
        well = _row("`launch` of asha_mlp", 2, found, "at intervals", seconds) and well
    sys.exit(not well)


if __name__ == "__main__":
    main()
