"""Trial: one training run, fully determined; and its hyperparameters by dotted name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import (
    MUTABLE,
    Component,
    Count,
    Mutable,
    Seed,
    Value,
    component_classes,
    list_text,
)
from raytune_pipe.components.augmentations import Augmentations
from raytune_pipe.components.datasets import Dataset
from raytune_pipe.components.initializers import HeNormal, Initializer
from raytune_pipe.components.losses import Loss
from raytune_pipe.components.models import Model
from raytune_pipe.components.optimizers import Optimizer
from raytune_pipe.components.regularizers import Regularizers
from raytune_pipe.components.schedules import Constant, Schedule
from raytune_pipe.components.stoppers import Stoppers


class Trial(Component):
    """One training run."""

    dataset: Dataset
    """What is learned."""
    model: Model
    """What learns it."""
    initializer: Initializer = HeNormal()
    """How its weights are drawn."""
    loss: Loss
    """What is optimized."""
    optimizer: Optimizer
    """How it is optimized."""
    schedule: Schedule = Constant()
    """How the learning rate changes over the epochs."""
    regularizers: Regularizers = Regularizers()
    """Penalties, gradient clipping, averages; those that are absent are off."""
    augmentations: Augmentations = Augmentations()
    """What is done to each batch before it is trained on; those that are absent are off."""
    stoppers: Stoppers = Stoppers()
    """When to end before the last epoch."""
    batch_size: Annotated[Count, MUTABLE] = 64
    """Samples per optimizer step."""
    micro_batches: Count = 1
    """Parts in which a batch passes through the model, one after the other, to take less memory;
    their gradients add up. A batch norm sees one part at a time."""
    epochs: Annotated[int, Field(ge=1, le=10**6)] = 20
    """Planned passes over the training part."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward pass; bfloat16 is autocast."""
    seed: Seed = 0
    """Fixes the initial weights, the order of the data and dropout; drawn for each trial of an
    experiment."""

    @model_validator(mode="after")
    def _mixed_samples_have_a_loss(self) -> Self:
        mixing = self.augmentations.mixing
        if mixing and self.loss.mixing == "refused":
            raise ValueError(
                f"loss {self.loss.kind} must have samples that are not mixed, as it has no meaning"
                f" between two targets, but augmentations.{mixing} mixes them; leave it out, or"
                " choose another loss"
            )
        return self


def leaves(component: Component) -> dict[str, Value]:
    """Every scalar hyperparameter by its dotted name; lists and mappings as compact JSON.

    An optional part that is off has none; a scalar that is not set is None.
    """
    values: dict[str, Value] = {}
    for name, field in type(component).model_fields.items():
        value = getattr(component, name)
        if isinstance(value, Component):
            values |= {f"{name}.{path}": leaf for path, leaf in leaves(value).items()}
        elif isinstance(value, dict) and component_classes(field.annotation):
            for key, part in value.items():
                values |= {f"{name}.{key}.{path}": leaf for path, leaf in leaves(part).items()}
        elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
            values |= {f"{name}.{path}": leaf for path, leaf in _argument_leaves(value).items()}
        elif value is None and component_classes(field.annotation):
            continue
        elif isinstance(value, list | tuple | dict):
            values[name] = list_text(value)
        else:
            values[name] = value
    return values


def _argument_leaves(arguments: Mapping[str, Any]) -> dict[str, Value]:
    """The same of the arguments of an imported part."""
    values: dict[str, Value] = {}
    for name, value in arguments.items():
        if isinstance(value, dict):
            values |= {f"{name}.{path}": leaf for path, leaf in _argument_leaves(value).items()}
        else:
            values[name] = list_text(value) if isinstance(value, list) else value
    return values


def is_mutable(trial: Trial, path: str) -> bool:
    """Whether the leaf may change while the trial runs; raises KeyError if there is none.

    Arguments of imported parts may not: they are fixed when the part is built.
    """
    *parents, name = path.split(".")
    part: Any = trial
    for parent in parents:
        part = part.get(parent) if isinstance(part, dict) else getattr(part, parent, None)
        if isinstance(part, dict):
            if not any(isinstance(value, Component) for value in part.values()):
                return False
        elif not isinstance(part, Component):
            raise KeyError(path)
    if not isinstance(part, Component) or name not in type(part).model_fields:
        raise KeyError(path)
    metadata = type(part).model_fields[name].metadata
    return any(isinstance(mark, Mutable) for mark in metadata)
