"""Losses: what is optimized; the plain loss, by which trials compare, is the task's."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from raytune_pipe.components.losses_classification import (
    BinaryCrossEntropy,
    Centre,
    CrossEntropy,
    Focal,
    Nll,
)
from raytune_pipe.components.losses_fit import require_output_layer, require_shape
from raytune_pipe.components.losses_regression import Huber, Mae, Mse
from raytune_pipe.components.losses_several import WeightedSum
from raytune_pipe.components.task import Task

if TYPE_CHECKING:
    from torch import Tensor

Loss = Annotated[
    CrossEntropy | Nll | BinaryCrossEntropy | Focal | Centre | Mse | Mae | Huber | WeightedSum,
    Field(discriminator="kind"),
]


def require_outputs(loss: Loss, task: Task, outputs: "Tensor", targets: "Tensor") -> None:
    """Raise `ConfigError` where a model's outputs are not what the loss takes.

    Args:
        loss: Of the task.
        task: What the model is to learn.
        outputs: Of the model, for one batch.
        targets: Of the batch.
    """
    require_shape(task, outputs, targets)
    if isinstance(loss, WeightedSum):
        for name, part in task.parted(outputs, targets).items():
            require_outputs(loss.terms[name].loss, task.parts[name], *part)
    elif task.kind == "classification":
        require_output_layer(loss.kind, loss.output_layer, outputs)
