"""Single bits flipped in every file of a run: `verify` must tell of each.

A run without training, one of whose trials has failed, so that it has error files too.

    python -m benchmarks.bit_flips --flips 2000
"""

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from raytune_pipe.results.events import FailureKind
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.tuning.assignment import Answer, Failure
from raytune_pipe.tuning.runner import prepare

from benchmarks.simulated_run import Worker, experiment_of, run_to_end


class Frail(Worker):
    """Fails once in one trial, and for good in another."""

    def answer(self) -> Answer:
        """Train an epoch, or fail."""
        kinds: dict[str, FailureKind] = {"00001": "exception", "00002": "worker_died"}
        kind = kinds.get(self.assignment.trial_id)
        if kind and self.assignment.attempt == 0 and len(self.way) == 1:
            return Answer(failure=Failure(kind, "a reason", "Traceback\n"))
        return super().answer()


def make_run(storage: Path) -> Path:
    """A finished run under ASHA, as its launch leaves it."""
    scheduler = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2}
    experiment = experiment_of(scheduler, trials=8, epochs=6)
    with RunDirectory.claim(storage, experiment.name) as run:
        recorder = prepare(experiment, experiment.plan(), run, lambda _event: None)
        run_to_end(recorder, Frail)
        recorder.publish()
        run.rebuild()
    return run.path


def flip(run: Path, flips: int, draws: random.Random) -> tuple[Counter[str], list[str]]:
    """How many bits were flipped in each file, and the flips that nothing told of."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name[:5] != LOCK)
    flipped, missed = Counter[str](), []
    for number in range(flips):
        file = files[number % len(files)]
        data = file.read_bytes()
        position, bit = draws.randrange(len(data)), draws.randrange(8)
        changed = bytearray(data)
        changed[position] ^= 1 << bit
        file.write_bytes(changed)
        name = str(file.relative_to(run))
        flipped[name] += 1
        if not verify_run(run).problems:
            missed.append(f"{name}, byte {position}, bit {bit}")
        file.write_bytes(data)
    return flipped, missed


@click.command()
@click.option("--flips", default=2000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(flips: int, seed: int) -> None:
    """Flip, verify, put back; exit with 1 if a flip was not told of."""
    with tempfile.TemporaryDirectory() as storage:
        run = make_run(Path(storage))
        if found := verify_run(run).problems:
            sys.exit(f"the run must be whole before, but got {found}")
        flipped, missed = flip(run, flips, random.Random(seed))
    for name, count in sorted(flipped.items()):
        click.echo(f"{count:6} {name}")
    click.echo(f"{flips} bits flipped in {len(flipped)} files, {len(missed)} not told of")
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
