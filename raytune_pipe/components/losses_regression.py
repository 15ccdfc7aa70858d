"""Losses of regression: how far outputs lie from targets."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from raytune_pipe.base import MUTABLE, Component, Positive, Value
from raytune_pipe.components.losses_fit import Mixing, OutputLayer, require_task
from raytune_pipe.components.task import Task, TaskKind

if TYPE_CHECKING:
    from torch import nn


class Mse(Component):
    """Mean squared error over samples and target dimensions."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"regression"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "targets"

    kind: Literal["mse"] = "mse"
    """Name of the loss."""

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, width], targets [batch, width] -> scalar."""
        from torch import nn

        require_task(self.kind, self.fits, task)
        return nn.MSELoss()

    def set_rates(self, module: "nn.Module") -> None:
        """Set nothing: it has no mutable hyperparameter."""

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them: none."""
        return {}


class Mae(Component):
    """Mean absolute error over samples and target dimensions; outliers count less than by mse."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"regression"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "targets"

    kind: Literal["mae"] = "mae"
    """Name of the loss."""

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, width], targets [batch, width] -> scalar."""
        from torch import nn

        require_task(self.kind, self.fits, task)
        return nn.L1Loss()

    def set_rates(self, module: "nn.Module") -> None:
        """Set nothing: it has no mutable hyperparameter."""

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them: none."""
        return {}


class Huber(Component):
    """Half the squared error up to ``delta``, and linear beyond (Huber 1964)."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"regression"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "targets"

    kind: Literal["huber"] = "huber"
    """Name of the loss."""
    delta: Annotated[Positive, MUTABLE] = 1.0
    """Error from which on it grows linearly, in units of the target."""

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, width], targets [batch, width] -> scalar."""
        from torch import nn

        require_task(self.kind, self.fits, task)
        return nn.HuberLoss(delta=self.delta)

    def set_rates(self, module: "nn.Module") -> None:
        """Set delta on the live module."""
        cast("nn.HuberLoss", module).delta = self.delta

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"delta": cast("nn.HuberLoss", module).delta}
