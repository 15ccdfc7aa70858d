import json

import pytest
import torch
from torch.nn import functional

from raytune_pipe.training.data import load_data
from raytune_pipe.training.trial_check_findings import RangeTest
from raytune_pipe.training.trial_check_runs import Place, Subject
from raytune_pipe.training.trial_check_signal import (
    Association,
    _judged,
    associated,
    check_signal,
    usable_rate,
)
from raytune_pipe.trial import Trial


def test_perfect_predictions_correlate_fully() -> None:
    targets = functional.one_hot(torch.arange(12) % 3).double()
    assert associated(targets * 7 + 2, targets).correlation == pytest.approx(1.0)


def test_deviation_is_that_of_random_assignments() -> None:
    draw = torch.Generator().manual_seed(0)
    predictions = torch.randn(60, 3, generator=draw).softmax(1).double()
    targets = functional.one_hot(torch.randint(0, 3, (60,), generator=draw), 3).double()
    shuffled = torch.tensor(
        [
            associated(predictions, targets[torch.randperm(60, generator=draw)]).correlation
            for _ in range(2000)
        ]
    )
    found = associated(predictions, targets).deviation
    assert shuffled.mean().item() == pytest.approx(0.0, abs=0.01)
    assert shuffled.std().item() == pytest.approx(found, rel=0.05)


def test_predictions_that_are_all_alike_tell_nothing() -> None:
    alike = associated(torch.ones(8, 2), torch.arange(16.0).view(8, 2))
    assert alike.z == 0.0
    assert alike.deviation == float("inf")


@pytest.mark.parametrize(
    ("network", "neighbors", "deviation", "verdict", "fault"),
    [
        (0.9, 0.8, 0.02, "ok", "none"),
        (0.01, 0.8, 0.02, "warn", "network"),
        (0.25, 0.4, 0.09, "ok", "none"),  # few samples, but not far below the neighbors
        (0.01, -0.02, 0.02, "fail", "labels"),
        (0.01, 0.07, 0.02, "warn", "few"),  # a trace: hard, and honest
        (0.1, 0.1, 0.2, "warn", "few"),  # a true correlation of 0.3 could have been missed
    ],
)
def test_hard_data_is_told_from_shuffled_labels(
    network: float, neighbors: float, deviation: float, verdict: str, fault: str
) -> None:
    probes = {
        "network": Association(network, deviation),
        "nearest neighbors": Association(neighbors, deviation),
    }
    judged = _judged("", probes)
    assert (judged.verdict, judged.fault) == (verdict, fault)


def test_a_network_that_diverges_is_not_said_to_have_trained_on() -> None:
    plain = {
        "dataset": {"kind": "diabetes"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "mse"},
        "optimizer": {"kind": "sgd", "lr": 1e30},
    }
    trial = Trial.model_validate_json(json.dumps(plain))
    subject = Subject(trial, load_data(trial.dataset), Place())
    finding, run = check_signal(subject, RangeTest((), (), None, None, None))
    assert len(run.step_seconds) < 10
    assert f"val_loss nan after {len(run.step_seconds)} steps" in finding.found


def test_network_trains_at_a_rate_at_which_the_loss_falls() -> None:
    test = RangeTest((), (), 1e-3, 1e-2, 1e-1)
    assert [usable_rate(own, test) for own in (1e-4, 5e-2, 1.0)] == [1e-2, 5e-2, 1e-2]
    assert usable_rate(1.0, RangeTest((), (), None, None, None)) == 1.0
