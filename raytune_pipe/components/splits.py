"""Splitting arrays into parts, standardizing them, and naming the task they pose."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from raytune_pipe.base import ConfigError
from raytune_pipe.components.task import Data, Split, Task, TaskKind

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

HeldOut = Annotated[float, Field(gt=0, lt=0.5)]
"""Share of the samples in a held-out part: below half each, so that some are left to train on."""

PARTS = ("train", "validation", "test")


def split_rows(
    targets: "Array", validation_fraction: float, test_fraction: float, seed: int
) -> "dict[str, Array]":
    """Row numbers of each part, in order; every class is split in the same proportions.

    Raises ConfigError if a part would stay empty.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    groups = [np.arange(len(targets))]
    if is_class(targets):
        groups = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    rows: dict[str, list[Array]] = {part: [] for part in PARTS}
    for group in groups:
        shuffled = draw.permutation(group)
        test = round(test_fraction * len(group))
        held_out = test + round(validation_fraction * len(group))
        rows["test"].append(shuffled[:test])
        rows["validation"].append(shuffled[test:held_out])
        rows["train"].append(shuffled[held_out:])
    for part, chosen in rows.items():
        if not sum(map(len, chosen)):
            raise ConfigError(
                f"the {part} part must get a sample, but {len(targets)} in all, or their classes,"
                f" are too few for that; give more, or a larger {part}_fraction"
            )
    return {part: np.sort(np.concatenate(chosen)) for part, chosen in rows.items()}


def to_data(parts: "Mapping[str, tuple[Array, Array]]") -> Data:
    """Tensors and their task, from the inputs and targets of each part.

    Inputs are standardized per feature (per channel of images) by the training part. Targets of
    whole numbers [samples] are classes; all others are regressed on and stay as they are.
    """
    import torch

    inputs, targets = parts["train"]
    classes = is_class(targets)
    scaled = _standardized({part: inputs for part, (inputs, _) in parts.items()})
    splits = {}
    for part, (_, y) in parts.items():
        y = y.astype("int64") if classes else y.astype("float32").reshape(len(y), -1)
        splits[part] = Split(torch.from_numpy(scaled[part]), torch.from_numpy(y))
    outputs = int(targets.max()) + 1 if classes else splits["train"].targets.shape[1]
    kind: TaskKind = "classification" if classes else "regression"
    return Data(**splits, task=Task(kind, inputs.shape[1:], outputs))


def is_class(targets: "Array") -> bool:
    """Whether the targets are class indices."""
    return targets.ndim == 1 and targets.dtype.kind in "iub"


def _standardized(inputs: "Mapping[str, Array]") -> "dict[str, Array]":
    train = inputs["train"]
    axes = (0, *range(2, train.ndim))
    mean = train.mean(axis=axes, keepdims=True, dtype="float64")
    deviation = train.std(axis=axes, keepdims=True, dtype="float64")
    # a feature that never varies, but for rounding, becomes zero and not noise of deviation 1
    deviation[deviation <= 1e-12 * abs(mean)] = 1.0
    return {part: ((x - mean) / deviation).astype("float32") for part, x in inputs.items()}
