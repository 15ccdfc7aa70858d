"""What a dataset gives to a trial: tensors in three parts, and the task they pose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

TaskKind = Literal["classification", "regression", "several"]


class Split(NamedTuple):
    """One part of the data, in memory."""

    inputs: "Tensor"
    """[samples, ...], float32; or token indices [samples, length], int64."""
    targets: "Tensor"
    """Class indices [samples], int64, or one at each position [samples, length]; or regression
    targets [samples, width], float32; or the targets of several tasks side by side, float32."""


class Batch(NamedTuple):
    """What a model is trained on at once."""

    inputs: "Tensor"
    targets: "Tensor"
    partners: "Tensor | None" = None
    """Targets of the samples that were mixed into these; None where none were."""
    own_share: float = 1.0
    """Weight of the loss by ``targets``; that by ``partners`` has the rest."""

    def split(self, parts: int) -> "list[Batch]":
        """So many batches one after the other, near equal in size."""
        if parts == 1:
            return [self]
        inputs, targets = self.inputs.tensor_split(parts), self.targets.tensor_split(parts)
        partners = [None] * parts if self.partners is None else self.partners.tensor_split(parts)
        return [
            Batch(*part, self.own_share) for part in zip(inputs, targets, partners, strict=True)
        ]


@dataclass(frozen=True)
class Task:
    """What a model has to learn: its input, its output, and what is measured on it."""

    kind: TaskKind
    input_shape: tuple[int, ...]
    """Shape of one sample, without the batch: ``(channels, height, width)`` of an image."""
    outputs: int
    """Number of classes, or width of a regression target; of several tasks their sum."""
    metrics: Mapping[str, Callable[["Tensor", "Tensor"], Any]] = field(default_factory=dict)
    """The user's own, by name: (outputs, targets) of the validation part -> a number."""
    tokens: int | None = None
    """How many tokens there are, where inputs are token indices; None where they are numbers.

    Then the next token is the class at each position: outputs [samples, tokens, length].
    """
    parts: Mapping[str, "Task"] = field(default_factory=dict)
    """The tasks that several are made of, by name; each has its columns of outputs and targets."""
    class_counts: tuple[int, ...] | None = None
    """Training samples of each class, of tokens positions; None before `Data.counted`."""

    def plain_loss(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Mean cross-entropy or mean squared error, without any extras, so that trials compare.

        Of several tasks it is the sum.
        """
        import torch
        from torch.nn import functional

        if self.kind == "several":
            losses = [
                self.parts[name].plain_loss(*part)
                for name, part in self.parted(outputs, targets).items()
            ]
            return torch.stack(losses).sum()
        if self.kind == "classification":
            return functional.cross_entropy(outputs, targets)
        return functional.mse_loss(outputs, targets)

    def parted(self, outputs: "Tensor", targets: "Tensor") -> "dict[str, tuple[Tensor, Tensor]]":
        """Outputs and targets of each of several tasks, by name, as that task alone has them."""
        import torch

        widths = [part.outputs for part in self.parts.values()]
        columns = [part.columns for part in self.parts.values()]
        split = zip(torch.split(outputs, widths, 1), torch.split(targets, columns, 1), strict=True)
        return {
            name: (own, target[:, 0].long() if part.kind == "classification" else target)
            for (name, part), (own, target) in zip(self.parts.items(), split, strict=True)
        }

    @property
    def columns(self) -> int:
        """How many columns its targets take beside those of other tasks."""
        return 1 if self.kind == "classification" else self.outputs


@dataclass(frozen=True)
class Data:
    """A dataset in memory, split, with its task."""

    train: Split
    validation: Split
    test: Split
    task: Task

    def counted(self) -> "Data":
        """The same, its task with the counts of the classes in the training part."""
        return replace(self, task=_counted(self.task, self.train.targets))


def _counted(task: Task, targets: "Tensor") -> Task:
    import torch

    if task.kind == "several":
        columns = torch.split(targets, [part.columns for part in task.parts.values()], 1)
        parts = zip(task.parts.items(), columns, strict=True)
        return replace(task, parts={name: _counted(part, own) for (name, part), own in parts})
    if task.kind == "regression":
        return task
    classes = targets.flatten().long()
    known = classes[(classes >= 0) & (classes < task.outputs)]
    counts = torch.bincount(known, minlength=task.outputs)
    return replace(task, class_counts=tuple(counts.tolist()))
