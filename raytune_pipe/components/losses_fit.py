"""Which tasks and which output layers a loss fits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from raytune_pipe.base import ConfigError, NonNegative
from raytune_pipe.components.task import Task, TaskKind

if TYPE_CHECKING:
    from torch import Tensor

OutputLayer = Literal["linear", "log_softmax"]
"""What a model must end in: a linear layer, or log-probabilities of the classes."""
Mixing = Literal["losses", "targets", "refused"]
"""Of mixed samples: the weighted losses by both targets, or the loss by the weighted targets."""
ClassWeights = Annotated[tuple[NonNegative, ...], Field(min_length=2)] | None


def require_task(kind: str, fits: frozenset[TaskKind], task: Task) -> None:
    """Raise `ConfigError` where the loss is not for tasks of this kind."""
    if task.kind not in fits:
        raise ConfigError(
            f"loss: {kind} must have a task of {' or '.join(sorted(fits))}, but the dataset's is"
            f" {task.kind}; choose a loss that fits it"
        )


def require_two_classes(kind: str, task: Task) -> None:
    """Raise `ConfigError` where there are more classes, or fewer."""
    if task.outputs != 2:
        raise ConfigError(
            f"loss: {kind} must have a task of two classes, but the dataset's has {task.outputs};"
            " choose loss cross_entropy"
        )


def require_one_weight_each(class_weights: Sequence[float] | None, task: Task) -> None:
    """Raise `ConfigError` where there are weights, but not one for each class."""
    if class_weights is not None and len(class_weights) != task.outputs:
        raise ConfigError(
            f"loss.class_weights: must have one weight for each of the {task.outputs} classes, but"
            f" got {len(class_weights)}; give them in the order of the classes"
        )


def require_shape(task: Task, outputs: "Tensor", targets: "Tensor") -> None:
    """Raise `ConfigError` where a model's outputs have not the shape that the task asks for."""
    positions = targets.shape[1:] if task.kind == "classification" else ()
    expected = [len(targets), task.outputs, *positions]
    if list(outputs.shape) != expected:
        raise ConfigError(
            f"model: must give outputs of the shape {expected} for a batch of {len(targets)}"
            f" samples, but they have {list(outputs.shape)}; change its output layer"
        )


def require_output_layer(kind: str, layer: OutputLayer, outputs: "Tensor") -> None:
    """Raise `ConfigError` where a model's outputs cannot be those of such a layer.

    Waits for the device. Outputs that are not finite pass: they can be any layer's.
    """
    outputs = outputs.detach().float()
    if layer == "log_softmax":
        excess = outputs.logsumexp(1).abs().max().item()
        if excess > _TOLERANCE:
            raise ConfigError(
                f"model: must end in log-probabilities under loss {kind}, as from"
                " torch.nn.LogSoftmax(1), but its outputs are none (the probabilities of a sample"
                " do not add up to 1); add that layer, or choose loss cross_entropy, which takes"
                " the outputs of a linear one"
            )
        return
    off_by = (outputs.sum(1) - 1).abs().max().item()
    if outputs.shape[1] > 1 and outputs.min().item() >= 0 and off_by < _TOLERANCE:
        raise ConfigError(
            f"model: must end in a linear layer under loss {kind}, which takes the softmax itself,"
            " but its outputs are probabilities already; take its last softmax out, or end it in"
            " torch.nn.LogSoftmax(1) and choose loss nll"
        )


_TOLERANCE = 0.02
"""Of a sum of probabilities in bfloat16."""
