"""Which tasks and which output layers a loss fits."""

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
ClassWeights = (
    Annotated[tuple[NonNegative, ...], Field(min_length=2)] | Literal["balanced", "equal"] | None
)


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


def weights_of_classes(class_weights: ClassWeights, task: Task) -> tuple[float, ...] | None:
    """The weight of each class, in order; None where all are 1.

    A balanced one is n / (classes * count), where ``count`` of the n training samples have the
    class, so that all classes weigh the same in sum, and a sample 1 on average.

    Raises `ConfigError` where there are weights, but not one for each class, or a balanced one
    would be infinite.
    """
    if class_weights is None or class_weights == "equal":
        return None
    if class_weights == "balanced":
        return _balanced(task)
    if len(class_weights) != task.outputs:
        raise ConfigError(
            f"loss.class_weights: must have one weight for each of the {task.outputs} classes, but"
            f" got {len(class_weights)}; give them in the order of the classes"
        )
    return class_weights


def _balanced(task: Task) -> tuple[float, ...]:
    if task.class_counts is None:
        raise ConfigError(
            "loss.class_weights: balanced must know how many training samples each class has, but"
            " the data's task does not say; load it with load_data, or call Data.counted"
        )
    if absent := [label for label, count in enumerate(task.class_counts) if not count]:
        which = f"class {absent[0]} has" if len(absent) == 1 else f"{len(absent)} classes have"
        raise ConfigError(
            "loss.class_weights: balanced must have a training sample of each of the"
            f" {task.outputs} classes, but {which} none; give the weights as a list, or a larger"
            " training part"
        )
    samples = sum(task.class_counts)
    return tuple(samples / (task.outputs * count) for count in task.class_counts)


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
    is_exact = outputs.dtype.itemsize >= 4
    outputs = outputs.detach().float()
    if layer == "log_softmax":
        excess = outputs.logsumexp(1).abs().max().item()
        if excess > _OFF_BY_ROUNDING:
            raise ConfigError(
                f"model: must end in log-probabilities under loss {kind}, as from"
                " torch.nn.LogSoftmax(1), but its outputs are none (the probabilities of a sample"
                " do not add up to 1); add that layer, or choose loss cross_entropy, which takes"
                " the outputs of a linear one"
            )
        return
    off_by = (outputs.sum(1) - 1).abs().max().item()
    limit = _OFF_BY_CHANCE if is_exact else _OFF_BY_ROUNDING
    if outputs.shape[1] > 1 and outputs.min().item() >= 0 and off_by < limit:
        raise ConfigError(
            f"model: must end in a linear layer under loss {kind}, which takes the softmax itself,"
            " but its outputs are probabilities already; take its last softmax out, or end it in"
            " torch.nn.LogSoftmax(1) and choose loss nll"
        )


_OFF_BY_ROUNDING = 0.02
"""Of a sum of probabilities in bfloat16."""
_OFF_BY_CHANCE = 1e-4
"""Of that of a linear layer's outputs. In 2e-5 of new networks of two classes both samples would be
within 0.02 of 1, which a long search meets."""
