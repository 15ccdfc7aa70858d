"""The same trials as an experiment of ours, as a plain Ray Tune script runs them.

What a practitioner writes first: a function that trains and reports, `ASHAScheduler`, defaults.
"""

import sys
import tempfile
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from raytune_pipe.components.schedulers import Asha
from raytune_pipe.experiment_file import load_experiment


def train(config: dict[str, Any]) -> None:
    from raytune_pipe.training.trainer import Trainer
    from raytune_pipe.trial import Trial

    trainer = Trainer(Trial.model_validate_json(config["trial"]))
    while not trainer.done:
        tune.report(trainer.train_epoch().metrics)


def main(path: str) -> None:
    experiment = load_experiment(path)
    asha = experiment.scheduler
    scheduler = (
        ASHAScheduler(
            max_t=experiment.trial.epochs,
            grace_period=asha.grace_epochs,
            reduction_factor=asha.reduction_factor,
        )
        if isinstance(asha, Asha)
        else FIFOScheduler()
    )
    trials = [planned.trial.model_dump_json() for planned in experiment.plan()]
    with tempfile.TemporaryDirectory() as scratch:
        tune.Tuner(
            train,
            param_space={"trial": tune.grid_search(trials)},
            tune_config=tune.TuneConfig(metric="val_loss", mode="min", scheduler=scheduler),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        ).fit()


if __name__ == "__main__":
    main(sys.argv[1])
