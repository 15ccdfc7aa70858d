import pytest
import torch
from torch import nn

from raytune_pipe.base import ConfigError
from raytune_pipe.components.losses import CrossEntropy, Mse
from raytune_pipe.components.task import Task

CLASSES = Task("classification", (4,), 3)
NUMBERS = Task("regression", (4,), 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_equals_torch(smoothing: float) -> None:
    outputs, targets = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    loss = CrossEntropy(label_smoothing=smoothing).build(CLASSES)(outputs, targets)
    smooth = torch.eye(3)[targets] * (1 - smoothing) + smoothing / 3
    torch.testing.assert_close(loss, -(smooth * outputs.log_softmax(1)).sum(1).mean())


def test_mse_equals_its_formula() -> None:
    outputs, targets = torch.randn(7, 2), torch.randn(7, 2)
    torch.testing.assert_close(
        Mse().build(NUMBERS)(outputs, targets), (outputs - targets).square().mean()
    )


def test_label_smoothing_is_set_on_the_live_module() -> None:
    module = CrossEntropy(label_smoothing=0.3).build(CLASSES)
    outputs, targets = torch.randn(7, 3), torch.zeros(7, dtype=torch.int64)
    component = CrossEntropy(label_smoothing=0.1)
    component.set_rates(module)
    assert component.rates_in_force(module) == {"label_smoothing": 0.1}
    expected = nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
    torch.testing.assert_close(module(outputs, targets), expected)


def test_mse_has_no_rates() -> None:
    module = Mse().build(NUMBERS)
    Mse().set_rates(module)
    assert Mse().rates_in_force(module) == {}


@pytest.mark.parametrize(("loss", "task"), [(CrossEntropy(), NUMBERS), (Mse(), CLASSES)])
def test_a_loss_that_does_not_fit_the_task_is_refused(loss: CrossEntropy | Mse, task: Task) -> None:
    with pytest.raises(ConfigError, match=f"loss {loss.kind} must have a task of .* {task.kind}"):
        loss.build(task)
