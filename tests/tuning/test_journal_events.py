"""Events that the driver tells the journal, and what is read back of them."""

import json
from typing import Any

import pytest

from raytune_pipe.experiment import Experiment, Objective
from raytune_pipe.results.encoding import decode, encode
from raytune_pipe.scheduling.decisions import Change, Checkpoint, Decision
from raytune_pipe.tuning.assignment import Answer
from raytune_pipe.tuning.journal_events import (
    decision_event,
    decision_of,
    experiment_event,
    experiment_of,
    plan_event,
    planned_of,
    report_event,
    report_of,
)
from raytune_pipe.tuning.progress import TrialProgress

PLAIN: dict[str, Any] = {
    "name": "run",
    "trial": {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": 4,
    },
    "search_space": {
        "optimizer.momentum": {"kind": "uniform", "low": 0.5, "high": 0.9},
        "optimizer.lr": {"kind": "log_uniform", "low": 1e-3, "high": 1.0},
    },
    "trials": 3,
}
EXPERIMENT = Experiment.model_validate_json(json.dumps(PLAIN))


def test_an_experiment_and_its_plan_are_read_back_as_they_were() -> None:
    plan = EXPERIMENT.plan()
    event = decode(encode(experiment_event(EXPERIMENT, plan)))
    assert event["event"] == "experiment"
    again = experiment_of(event)
    assert again == EXPERIMENT
    assert list(again.search_space) == list(EXPERIMENT.search_space)  # draws go by this order
    for one in plan:
        told = decode(encode(plan_event(one)))
        assert told["event"] == "plan"
        assert planned_of(told, again) == one


def test_a_decision_is_read_back_as_it_was() -> None:
    change = Change("optimizer.lr", "perturb", 0.1, 0.12)
    copy = Decision(
        "00001",
        "exploit",
        rung=2.0,
        donor="00000",
        donor_report=2,
        checkpoint=Checkpoint("checkpoints/00000/2.pt", "0" * 64),
        values={"optimizer.lr": 0.12},
        changes=(change,),
    )
    decisions = [copy, Decision("00002", "stop", rung=2.0, cutoff=0.5)]
    event = decode(encode(decision_event("00001", 2, decisions)))
    assert event["event"] == "decision"
    assert [decision_of(record) for record in event["decisions"]] == decisions


@pytest.mark.parametrize(
    ("verdict", "score"), [(None, -0.8), ("patience", -0.8), ("divergence", None)]
)
def test_a_report_has_the_score_of_its_verdict(verdict: str | None, score: float | None) -> None:
    state = TrialProgress({"optimizer.lr": 1, "optimizer.momentum": None}, epochs=4, time_s=2.0)
    answer = Answer(
        number=3,
        epoch=3.0,
        metrics={"val_accuracy": 0.8, "epoch_s": 0.5},
        values_in_force={"optimizer.lr": 1.0, "optimizer.momentum": 0.9},
        verdict=verdict,
    )
    event = report_event("00000", state, answer, Objective(metric="val_accuracy", mode="max"))
    assert event["time_s"] == 2.5
    assert event["values"] == {"optimizer.lr": 1.0, "optimizer.momentum": None}
    heard = report_of(event)
    assert (heard.trial, heard.number, heard.epoch, heard.checkpoint) == ("00000", 3, 3.0, None)
    assert heard.score == score or (score is None and heard.score != heard.score)
