"""Searches over a factorial that has been trained: what they report is looked up, not trained."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raytune_pipe.experiment import Experiment, PlannedTrial
from raytune_pipe.results.reading import Results
from raytune_pipe.trial import leaves

from benchmarks.importance.factorial_grid import cells, experiment, trial_id
from benchmarks.importance.simulated_runs import simulated_run

Array = NDArray[np.float64]

ASHA: Mapping[str, str | float] = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3}


def search(losses: Array, scheduler: Mapping[str, str | float], trials: int, seed: int) -> Results:
    """The results of a random search over the grid under a scheduler, such as ``ASHA``.

    ``losses`` is ``[cells, seeds, epochs]``. No cell is drawn twice; which of its trainings is
    taken is drawn as well. The smaller the batch, the longer an epoch takes.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(losses), trials, replace=False).tolist()
    repetitions = rng.integers(losses.shape[1], size=trials).tolist()
    made = experiment(scheduler, trials)
    trained = list(zip(drawn, repetitions, strict=True))
    curves = {trial_id(*one): losses[one] for one in trained}
    plan = [_planned(made, *one) for one in trained]

    def seconds(planned: PlannedTrial) -> float:
        """So much an update, and a fifth more or less by chance."""
        return (0.1 + 16 / planned.trial.batch_size) * float(rng.uniform(0.8, 1.2))

    return simulated_run(made, plan, curves, seconds)


def _planned(made: Experiment, cell: int, repetition: int) -> PlannedTrial:
    name, values = trial_id(cell, repetition), cells()[cell]
    trial = made.trial_with(values, name)
    validated = leaves(trial)
    return PlannedTrial(name, {each: validated[each] for each in values}, trial)
