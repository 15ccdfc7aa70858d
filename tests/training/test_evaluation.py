import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raytune_pipe.base import TrialError
from raytune_pipe.components.task import Split, Task
from raytune_pipe.training.evaluation import (
    EVALUATION_BATCH,
    check_metric_names,
    evaluate,
    predict,
    real_number,
)

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
SPLIT = Split(LOGITS, torch.tensor([0, 1, 1, 1]))


def first(outputs: Tensor, _: Tensor) -> Tensor:
    return outputs[0, 0]


def test_loss_accuracy_and_the_users_metrics() -> None:
    task = Task("classification", (2,), 2, {"first": first})
    metrics = evaluate(nn.Identity(), SPLIT, task, "validation")
    margins = (2.0, 1.0, -3.0, 4.0)
    loss = sum(math.log1p(math.exp(-margin)) for margin in margins) / 4
    assert metrics == {"val_loss": pytest.approx(loss), "val_accuracy": 0.75, "first": 2.0}
    names = ["test_loss", "test_accuracy", "first"]
    assert list(evaluate(nn.Identity(), SPLIT, task, "test")) == names


def test_a_loss_that_is_not_finite_makes_all_nan() -> None:
    task = Task("classification", (2,), 2, {"first": first})
    metrics = evaluate(nn.Identity(), Split(LOGITS * math.nan, SPLIT.targets), task, "validation")
    assert list(metrics) == ["val_loss", "val_accuracy", "first"]
    assert all(math.isnan(value) for value in metrics.values())


def test_predicts_in_evaluation_mode_whatever_the_size() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    inputs = torch.randn(2 * EVALUATION_BATCH + 7, 3)
    outputs = predict(model, inputs)
    assert not outputs.requires_grad
    assert torch.allclose(outputs, model[0](inputs))


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int64(2), torch.tensor(2), torch.tensor([[2.0]])]
)
def test_numbers_pass(value: Any) -> None:
    assert real_number("mine", value) == 2.0


@pytest.mark.parametrize(
    "value",
    [None, True, np.bool_(True), torch.tensor(True), "2", 2j, torch.ones(2), [2.0], {"mine": 2}],
    ids=repr,
)
def test_all_else_is_a_trial_error(value: Any) -> None:
    with pytest.raises(TrialError, match="metric 'mine' must be a number, but got"):
        real_number("mine", value)


@pytest.mark.parametrize("name", ["val_loss", "test_loss", "lr", "epoch", "trial_id", "a.b"])
def test_a_taken_name_is_a_trial_error(name: str) -> None:
    with pytest.raises(TrialError, match=name):
        check_metric_names(Task("classification", (2,), 2, {name: first}))
