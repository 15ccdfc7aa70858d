import json
import math
from typing import Any

import pytest
import torch

from raytune_pipe.components.task import Task
from raytune_pipe.training.data import load_data
from raytune_pipe.training.trial_check_findings import Finding
from raytune_pipe.training.trial_check_runs import Place, Subject
from raytune_pipe.training.trial_check_start import (
    Part,
    _initial_loss,
    _reference,
    check_initial_loss,
)
from raytune_pipe.trial import Trial

TRIAL: dict[str, Any] = {
    "dataset": {"kind": "digits"},
    "model": {"kind": "mlp"},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd"},
}


def found(**changes: Any) -> Finding:
    trial = Trial.model_validate_json(json.dumps(TRIAL | changes))
    return check_initial_loss(Subject(trial, load_data(trial.dataset), Place()))


def judged(kind: str, loss: float, targets: torch.Tensor, *, may_know: bool = False) -> str:
    task = Task("classification" if kind == "classes" else "regression", (1,), 4)
    reference = _reference(Part("", task, torch.zeros(0), targets))
    return _initial_loss([loss], [reference], len(targets), may_know=may_know).verdict


@pytest.mark.parametrize("kind", ["he_normal", "xavier_uniform", "zeros", "orthogonal"])
def test_the_first_loss_is_near_that_of_equal_odds(kind: str) -> None:
    finding = found(initializer={"kind": kind})
    assert finding.verdict == "ok"
    assert finding.expected.startswith(f"ln 10 = {math.log(10):.2f}")


def test_a_large_initialization_is_a_failure() -> None:
    finding = found(initializer={"kind": "normal", "std": 1.0})
    assert finding.verdict == "fail"
    assert finding.suspect.startswith("an initialization too large")


def test_normalized_targets_have_a_variance_of_one() -> None:
    finding = found(dataset={"kind": "diabetes"}, loss={"kind": "mse"})
    assert finding.verdict == "ok"
    assert finding.expected.startswith("the target's variance, 1;")


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(0.3, "fail"), (0.9, "warn"), (1.39, "ok"), (3.0, "ok"), (5.0, "warn"), (20.0, "fail")],
)
def test_classes_by_nats_about_equal_odds(loss: float, verdict: str) -> None:
    assert judged("classes", loss, torch.arange(400) % 4) == verdict


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(0.1, "fail"), (0.4, "warn"), (1.0, "ok"), (4.0, "ok"), (30.0, "warn"), (1e4, "fail")],
)
def test_quantities_by_the_variance_of_outputs(loss: float, verdict: str) -> None:
    targets = torch.tensor([[1.0], [-1.0]]).repeat(50, 1)
    assert judged("quantities", loss, targets) == verdict


def test_not_a_number_fails() -> None:
    assert judged("classes", math.nan, torch.arange(4)) == "fail"


def test_rare_classes_may_be_known_of_from_the_start() -> None:
    rare = torch.cat([torch.zeros(950, dtype=torch.long), torch.arange(4).repeat(13)])
    assert judged("classes", 0.25, rare) == "ok"  # their entropy, as a bias can give it


def test_a_network_trained_before_may_know() -> None:
    classes = torch.arange(400) % 4
    assert judged("classes", 0.05, classes) == "fail"
    assert judged("classes", 0.05, classes, may_know=True) == "warn"
