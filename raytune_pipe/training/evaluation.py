"""Metrics of a model on one part of the data: the task's plain loss, accuracy, the user's own."""

import math
from numbers import Real
from typing import Any, Literal

import torch
from torch import Tensor, nn

from raytune_pipe.base import TrialError
from raytune_pipe.components.task import Split, Task
from raytune_pipe.results.columns import RESERVED, STANDARD_METRICS
from raytune_pipe.training.world import ALONE, World

Part = Literal["validation", "test"]
EVALUATION_BATCH = 512
"""Fixed, so that the batch size under search cannot change the last bits of a metric."""

TAKEN = RESERVED.union(STANDARD_METRICS, {"test_loss", "test_accuracy"})
"""Names that a metric of the user's must not have."""


def metric_names(task: Task, part: Part) -> tuple[str, ...]:
    """Names of the metrics of a part: ``val_loss``, ``val_accuracy``, the user's own.

    On the test part the first two are ``test_loss`` and ``test_accuracy``.
    """
    prefix = "val" if part == "validation" else "test"
    accuracy = (f"{prefix}_accuracy",) if task.kind == "classification" else ()
    return (f"{prefix}_loss", *accuracy, *task.metrics)


def evaluate(
    model: nn.Module, split: Split, task: Task, part: Part, world: World = ALONE
) -> dict[str, float]:
    """Metrics of the model on the split; all NaN when its loss is not finite.

    Several workers predict a share each; rank 0 computes the metrics, for all.

    Raises `TrialError` where a metric of the user's is not a number.
    """
    outputs = world.gathered(predict(model, world.rows(split.inputs)), len(split.inputs))
    if outputs is None:
        return world.agreed(dict.fromkeys(metric_names(task, part), math.nan))
    return world.agreed(_measured(outputs, split, task, part))


def _measured(outputs: Tensor, split: Split, task: Task, part: Part) -> dict[str, float]:
    names = metric_names(task, part)
    loss = task.plain_loss(outputs, split.targets).item()
    if not math.isfinite(loss):
        # The user's metrics are not called: many raise on NaN, and a diverged trial has not failed.
        return dict.fromkeys(names, math.nan)
    values = [loss]
    if task.kind == "classification":
        values.append((outputs.argmax(dim=1) == split.targets).double().mean().item())
    for name, metric in task.metrics.items():
        values.append(real_number(name, metric(outputs, split.targets)))
    return dict(zip(names, values, strict=True))


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs of the model in evaluation mode, float32 [samples, ...]."""
    model.eval()
    with torch.no_grad():
        outputs = [model(batch) for batch in torch.split(inputs, EVALUATION_BATCH)]
    return torch.cat(outputs).float()


def real_number(name: str, value: Any) -> float:
    """The value of a user's metric as a float, from a number or a tensor of one element."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TrialError(
            f"metric {name!r} must be a number, but got {value!r} of type"
            f" {type(value).__name__}; return a float from it"
        )
    return float(value)


def check_metric_names(task: Task) -> None:
    """Raise `TrialError` where a metric of the user's has a name that stands for another column."""
    for name in task.metrics:
        if name in TAKEN or "." in name:
            raise TrialError(
                f"a metric's name must hold no dot and be none of {', '.join(sorted(TAKEN))},"
                f" but got {name!r}; rename it in the dataset's task"
            )
