"""How long a long journal takes to open, to go on with and to publish, and in how much memory.

A recorder is driven without Ray by made-up answers: 24 hyperparameters and metrics a report, a
checkpoint named by every tenth one, 500 trials at a time, the last 500 cut off in their middle.
Nothing waits for the disk while that journal is made, so only what reads it is measured.

    python -m benchmarks.journal_scale --trials 10000 --reports 100
"""

import hashlib
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from raytune_pipe.experiment import Experiment
from raytune_pipe.results.journal import JOURNAL
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.recorder import Recorder
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

AT_ONCE = 500
SPACE: dict[str, Any] = {
    "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0},
    "optimizer.momentum": {"kind": "uniform", "low": 0.0, "high": 0.99},
    "optimizer.weight_decay": {"kind": "log_uniform", "low": 1e-6, "high": 1e-2},
    "batch_size": {"kind": "choice", "options": [16, 32, 64, 128]},
    "model.dropout": {"kind": "uniform", "low": 0.0, "high": 0.5},
    "model.widths": {"kind": "choice", "options": [[32], [64], [64, 64]]},
    "loss.label_smoothing": {"kind": "uniform", "low": 0.0, "high": 0.2},
    "schedule.kind": {"kind": "choice", "options": ["constant", "cosine"]},
}
METRICS = (
    *("train_loss", "val_loss", "val_accuracy", "lr", "grad_norm", "update_ratio"),
    *("samples_per_s", "epoch_s", *(f"f1_of_class_{number}" for number in range(8))),
)


def experiment_of(trials: int, reports: int) -> Experiment:
    space = {name: entry for name, entry in SPACE.items() if name != "schedule.kind"}
    space["schedule"] = {"kind": "choice", "options": [{"kind": "constant"}, {"kind": "cosine"}]}
    plain = {
        "name": "run",
        "trial": {
            "dataset": {"kind": "digits"},
            "model": {"kind": "mlp"},
            "loss": {"kind": "cross_entropy"},
            "optimizer": {"kind": "sgd", "lr": 0.1},
            "epochs": reports,
        },
        "search_space": space,
        "trials": trials,
    }
    return Experiment.model_validate_json(json.dumps(plain))


def answer(trial_id: str, number: int, values: dict[str, Any]) -> Answer:
    """One epoch as a worker would tell it: numbers of full length that look like training."""
    swing = math.sin(int(trial_id) * 12.9898 + number * 78.233)
    loss = 2.3 / math.sqrt(number) * (1.1 + 0.1 * swing)
    metrics = {name: loss * (1 + index / 7) for index, name in enumerate(METRICS)}
    checkpoint: Any = None
    if number % 10 == 0:
        path = f"checkpoints/{trial_id}/{number}.pt"
        digest = hashlib.sha256(path.encode()).hexdigest()  # the file holds its own name
        checkpoint = {"path": path, "sha256": digest, "bytes": len(path)}
    return Answer(
        number=number,
        epoch=float(number),
        step=number * 23,
        metrics=metrics,
        values_in_force=values,
        checkpoint=checkpoint,
    )


def write_journal(storage: Path, trials: int, reports: int) -> None:
    """A run that was killed after all but the second half of its last trials."""
    experiment = experiment_of(trials, reports)
    # Nothing is flushed: what is measured is reading the journal, not the disk it is written to.
    with patch("os.fsync"), RunDirectory.claim(storage, "run") as run:
        recorder = prepare(experiment, experiment.plan(), run, lambda _event: None)
        names = list(recorder.trials)
        waves = [names[begin : begin + AT_ONCE] for begin in range(0, len(names), AT_ONCE)]
        for wave in waves:
            for name in wave:
                recorder.on_start(name)
            for number in range(1, 1 + (reports if wave is not waves[-1] else reports // 2)):
                for name in wave:
                    one = answer(name, number, recorder.trials[name].values)
                    if one.checkpoint:
                        file = run.path / one.checkpoint["path"]
                        file.parent.mkdir(exist_ok=True)
                        file.write_text(one.checkpoint["path"])
                    recorder.on_answer(name, one)


def measure(run: Path) -> Iterator[dict[str, Any]]:
    """CPU-seconds of each step, in the order in which a resume takes them."""

    def timed(what: str, step: Callable[[], Any]) -> dict[str, Any]:
        began, cpu = time.perf_counter(), time.process_time()
        done.append(step())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cpu_s = round(time.process_time() - cpu, 2)
        wall_s = round(time.perf_counter() - began, 2)
        return {"step": what, "cpu_s": cpu_s, "wall_s": wall_s, "peak_gib": round(peak, 2)}

    done: list[Any] = []
    yield timed("reopen", lambda: RunDirectory.reopen(run))
    reopened: RunDirectory = done[-1]
    yield timed("recorder", lambda: recorder_of(reopened, lambda _event: None))
    recorder: Recorder = done[-1]
    yield timed("publish", recorder.publish)
    name = next(name for name, trial in recorder.trials.items() if not trial.has_ended)
    recorder.on_start(name)
    number = recorder.trials[name].start_report + 1
    one = answer(name, number, recorder.trials[name].values)
    yield timed("one report", lambda: recorder.on_answer(name, one))
    yield timed("publish again", recorder.publish)
    reopened.close()
    yield timed("verify", lambda: verify_run(run))
    if done[-1].problems:
        raise RuntimeError(f"no file may be damaged, but got {done[-1].problems}")


@click.command()
@click.option("--trials", default=10_000, show_default=True)
@click.option("--reports", default=100, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Make the journal here, or reuse it.")
@click.option("--measure-only", type=click.Path(path_type=Path), hidden=True)
def main(trials: int, reports: int, keep: Path | None, measure_only: Path | None) -> None:
    """Measure in a process of its own, whose peak memory is then that of the steps alone."""
    if measure_only:
        for row in measure(measure_only):
            click.echo(json.dumps(row))
        return
    with tempfile.TemporaryDirectory() as folder:
        storage = keep or Path(folder) / "made"
        if not (storage / "run").exists():
            write_journal(storage, trials, reports)
        copy = shutil.copytree(storage / "run", Path(folder) / "run")
        click.echo(f"{(copy / JOURNAL).stat().st_size / 1e6:,.0f} MB of journal")
        again = ["-m", "benchmarks.journal_scale", "--measure-only", str(copy)]
        subprocess.run([sys.executable, *again], check=True)


if __name__ == "__main__":
    main()
