"""Losses: what is optimized; the plain loss, by which trials compare, is the task's."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from raytune_pipe.base import MUTABLE, Component, ConfigError, Probability, Value
from raytune_pipe.components.task import Task, TaskKind

if TYPE_CHECKING:
    from torch import nn


class CrossEntropy(Component):
    """Softmax cross-entropy, with label smoothing (Szegedy et al. 2016, arXiv:1512.00567)."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    needs_features: ClassVar[bool] = False

    kind: Literal["cross_entropy"] = "cross_entropy"
    """Name of the loss."""
    label_smoothing: Annotated[Probability, MUTABLE] = 0.0
    """Share of the target that is spread evenly over all classes."""

    def build(self, task: Task) -> "nn.Module":
        """Module: logits [batch, classes], class indices [batch] -> scalar."""
        from torch import nn

        _require_fit(self.kind, self.fits, task)
        return nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)

    def set_rates(self, module: "nn.Module") -> None:
        """Set label smoothing on the live module."""
        cast("nn.CrossEntropyLoss", module).label_smoothing = self.label_smoothing

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"label_smoothing": cast("nn.CrossEntropyLoss", module).label_smoothing}


class Mse(Component):
    """Mean squared error over samples and target dimensions."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"regression"})
    needs_features: ClassVar[bool] = False

    kind: Literal["mse"] = "mse"
    """Name of the loss."""

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, width], targets [batch, width] -> scalar."""
        from torch import nn

        _require_fit(self.kind, self.fits, task)
        return nn.MSELoss()

    def set_rates(self, module: "nn.Module") -> None:
        """Set nothing: it has no mutable hyperparameter."""

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them: none."""
        return {}


def _require_fit(kind: str, fits: frozenset[TaskKind], task: Task) -> None:
    if task.kind not in fits:
        raise ConfigError(
            f"loss {kind} must have a task of {' or '.join(sorted(fits))}, but the dataset's is"
            f" {task.kind}; choose a loss that fits it"
        )


Loss = Annotated[CrossEntropy | Mse, Field(discriminator="kind")]
