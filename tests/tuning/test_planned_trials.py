"""Handing out the planned trials."""

import random
from pathlib import Path

from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.planned_trials import PlannedTrials
from raytune_pipe.tuning.runner import prepare
from raytune_pipe.tuning.slots import Slots
from raytune_pipe.tuning.trial_request import TrialRequest

from benchmarks.simulated_run import experiment_of


def test_it_is_finished_once_all_have_ended_in_whatever_order(tmp_path: Path) -> None:
    made = experiment_of({"kind": "fifo"}, trials=12, epochs=2)
    with RunDirectory.claim(tmp_path, made.name) as run:
        recorder = prepare(made, made.plan(), run, lambda _event: None)
        names = list(recorder.trials)
        recorder.end(names.pop(3), "failed", "before Ray hears of any")
        planned = PlannedTrials(recorder, Slots(2), TrialRequest(({"CPU": 1.0},)))
        random.Random(0).shuffle(names)
        for name in names:
            assert not planned.is_finished()
            recorder.end(name, "completed", "budget")
        assert planned.is_finished()
        assert recorder.is_finished
