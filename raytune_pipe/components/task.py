"""What a dataset gives to a trial: tensors in three parts, and the task they pose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

TaskKind = Literal["classification", "regression"]


class Split(NamedTuple):
    """One part of the data, in memory."""

    inputs: "Tensor"
    """[samples, ...], float32."""
    targets: "Tensor"
    """Class indices [samples], int64; or regression targets [samples, width], float32."""


@dataclass(frozen=True)
class Task:
    """What a model has to learn: its input, its output, and what is measured on it."""

    kind: TaskKind
    input_shape: tuple[int, ...]
    """Shape of one sample, without the batch: ``(channels, height, width)`` of an image."""
    outputs: int
    """Number of classes, or width of a regression target."""
    metrics: Mapping[str, Callable[["Tensor", "Tensor"], Any]] = field(default_factory=dict)
    """The user's own, by name: (outputs, targets) of the validation part -> a number."""

    def plain_loss(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Mean cross-entropy or mean squared error, without any extras, so that trials compare."""
        from torch.nn import functional

        if self.kind == "classification":
            return functional.cross_entropy(outputs, targets)
        return functional.mse_loss(outputs, targets)


@dataclass(frozen=True)
class Data:
    """A dataset in memory, split, with its task."""

    train: Split
    validation: Split
    test: Split
    task: Task
