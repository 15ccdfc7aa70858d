"""The experiment of `benchmarks.faults` as a plain Ray Tune script, with its documented restore.

A function that trains, reports and saves a checkpoint with every report, `ASHAScheduler`, and
`Tuner.restore` wherever `Tuner.can_restore` says so. Every report that `tune.report` has returned
from is noted in a file of its own, flushed to disk: what Ray has acknowledged.

    python -m benchmarks.plain_ray_script FOLDER EXPERIMENT.yaml [text | none | missing]
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from raytune_pipe.experiment_file import load_experiment

ACKNOWLEDGED = "acknowledged.jsonl"
RESULTS = "results.json"
RUN = "run"
POISONED = 3
"""The number of the trial that reports what is not a number, where one is asked for."""


def train(config: dict[str, Any]) -> None:
    """One trial: go on from the last checkpoint, train, report, note what was acknowledged."""
    from raytune_pipe.training.trainer import Trainer
    from raytune_pipe.trial import Trial

    trainer = Trainer(Trial.model_validate_json(config["trials"][config["number"]]))
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            trainer.load(Path(folder) / "trial.pt")
    while not trainer.done:
        report = trainer.train_epoch()
        metrics: dict[str, Any] = {**report.metrics, "epoch": report.epoch}
        if config["number"] == POISONED:
            _poison(metrics, config["poison"])
        with tempfile.TemporaryDirectory() as folder:
            trainer.save(Path(folder) / "trial.pt")
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))
        _note(Path(config["folder"]) / ACKNOWLEDGED, [config["number"], report.epoch])


def _poison(metrics: dict[str, Any], poison: str) -> None:
    if poison == "missing":
        del metrics["val_loss"]
    elif poison:
        metrics["val_loss"] = {"text": "high", "none": None}[poison]


def _note(path: Path, line: list[float]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{json.dumps(line)}\n".encode())
    os.fsync(descriptor)
    os.close(descriptor)


def tuner_of(folder: Path, path: str, poison: str) -> tune.Tuner:
    """Restored where Ray says that it can be, else a new one."""
    if tune.Tuner.can_restore(folder / RUN):
        return tune.Tuner.restore(str(folder / RUN), trainable=train, resume_errored=True)
    experiment = load_experiment(path)
    asha = ASHAScheduler(max_t=experiment.trial.epochs, grace_period=1, reduction_factor=2)
    trials = [planned.trial.model_dump_json() for planned in experiment.plan()]
    return tune.Tuner(
        train,
        param_space={
            "number": tune.grid_search(list(range(len(trials)))),
            "trials": trials,
            "folder": str(folder),
            "poison": poison,
        },
        tune_config=tune.TuneConfig(
            metric="val_loss", mode="min", scheduler=asha, max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(name=RUN, storage_path=str(folder), verbose=0),
    )


def found(results: tune.ResultGrid) -> list[dict[str, Any]]:
    """What Ray hands out in the end: of each trial its number, its epochs, its error."""
    trials = []
    for result in results:
        frame = result.metrics_dataframe
        epochs = [] if frame is None or "epoch" not in frame else frame["epoch"].tolist()
        number = (result.config or {}).get("number")
        error = result.error and type(result.error).__name__
        trials.append({"number": number, "epochs": epochs, "error": error})
    return trials


def judged(tuner: tune.Tuner) -> int:
    """How many trials the scheduler remembers at its first rung, which all of them reach."""
    scheduler = tuner._local_tuner._tune_config.scheduler
    _, recorded = scheduler._brackets[0]._rungs[-1]
    return len(recorded)


def main(folder: str, path: str, poison: str = "") -> None:
    """Run or restore, to the end; write down what Ray then hands out."""
    ray.init(
        address="local", include_dashboard=False, log_to_driver=False, _temp_dir=f"{folder}/ray"
    )
    tuner = tuner_of(Path(folder), path, poison)
    results = {"trials": found(tuner.fit()), "judged": judged(tuner)}
    (Path(folder) / RESULTS).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
