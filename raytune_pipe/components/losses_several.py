"""The loss of several tasks at once: their own losses, weighted and added up."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import AfterValidator, Field

from raytune_pipe.base import MUTABLE, Component, ConfigError, NonNegative, Value
from raytune_pipe.components.losses_classification import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Nll,
)
from raytune_pipe.components.losses_fit import Mixing, OutputLayer, require_task
from raytune_pipe.components.losses_regression import Huber, Mae, Mse
from raytune_pipe.components.task import Task, TaskKind

if TYPE_CHECKING:
    from torch import nn

    from raytune_pipe.networks import losses


class Term(Component):
    """The loss of one task among several."""

    loss: Annotated[
        CrossEntropy | Nll | BinaryCrossEntropy | Focal | Mse | Mae | Huber,
        Field(discriminator="kind"),
    ]
    """Of this task alone."""
    weight: Annotated[NonNegative, MUTABLE] = 1.0
    """Multiplies it; the weighted losses should lie within two decades of each other."""


def _no_total(name: str) -> str:
    if name == "loss":
        raise ValueError(
            "a term must not be named loss, since its metric train_loss is that of the sum;"
            " rename the task"
        )
    return name


class WeightedSum(Component):
    """The weighted sum of the losses of several tasks; each term is a metric, ``train_TASK``."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"several"})
    output_layer: ClassVar[OutputLayer] = "linear"
    """Each term has its own."""
    needs_features: ClassVar[bool] = False

    kind: Literal["weighted_sum"] = "weighted_sum"
    """Name of the loss."""
    terms: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$"), AfterValidator(_no_total)],
            Term,
        ],
        Field(min_length=1),
    ]
    """The loss of each of the dataset's tasks, by its name."""

    @property
    def mixing(self) -> Mixing:
        """What to do with mixed samples: a class cannot be mixed, and these errors not parted."""
        unparted = [term for term in self.terms.values() if term.loss.kind in ("mae", "huber")]
        return "refused" if unparted else "losses"

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, columns], targets [batch, columns] side by side -> scalar."""
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        for what, names in (
            ("lacks a term for", task.parts.keys() - self.terms.keys()),
            ("has one for", self.terms.keys() - task.parts.keys()),
        ):
            if names:
                raise ConfigError(
                    "loss.terms: must have a term for each of the dataset's tasks"
                    f" ({', '.join(task.parts)}), but {what} {', '.join(sorted(names))}; write them"
                    " so"
                )
        return losses.WeightedSum(
            {name: self._built(name, part) for name, part in task.parts.items()},
            {name: term.weight for name, term in self.terms.items()},
            task.parted,
        )

    def set_rates(self, module: "nn.Module") -> None:
        """Set the weights, and the rates of each loss, on the live module."""
        live = cast("losses.WeightedSum", module)
        for name, term in self.terms.items():
            live.weights[name] = term.weight
            term.loss.set_rates(live.losses[name])

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        live = cast("losses.WeightedSum", module)
        values: dict[str, Value] = {}
        for name, term in self.terms.items():
            values[f"terms.{name}.weight"] = live.weights[name]
            for rate, value in term.loss.rates_in_force(live.losses[name]).items():
                values[f"terms.{name}.loss.{rate}"] = value
        return values

    def _built(self, name: str, part: Task) -> "nn.Module":
        try:
            return self.terms[name].loss.build(part)
        except ConfigError as error:  # which says where from the loss on
            raise ConfigError(f"loss.terms.{name}.{error}") from error
