"""Splitting arrays into parts, standardizing them, and naming the task they pose."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from raytune_pipe.base import ConfigError, seed_draw
from raytune_pipe.components.task import Data, Split, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

HeldOut = Annotated[float, Field(gt=0, lt=0.5)]
"""Share of the samples in a held-out part: below half each, so that some are left to train on."""

PARTS = ("train", "validation", "test")

CHUNK = 2**22
"""Values that are standardized at once, in double precision; all at once take too much memory."""


class Splitting(Protocol):
    """The settings that say how a dataset is split, and how much of it is trained on."""

    @property
    def split_seed(self) -> int:
        """Fixes which samples go where."""

    @property
    def validation_fraction(self) -> float:
        """Share of the samples that score the trials."""

    @property
    def test_fraction(self) -> float:
        """Share of the samples that is kept for the end."""

    @property
    def max_samples(self) -> int | None:
        """Most samples of the training part; None for all."""


def split_data(
    dataset: Splitting, inputs: "Array", targets: "Array", *, standardize_targets: bool = False
) -> Data:
    """The samples split as the dataset says, as `to_data` gives them."""
    rows = split_rows(
        targets, dataset.validation_fraction, dataset.test_fraction, dataset.split_seed
    )
    parts = {part: (inputs[rows[part]], targets[rows[part]]) for part in PARTS}
    data = to_data(parts, standardize_targets=standardize_targets)
    return limited(data, dataset.max_samples, dataset.split_seed)


def split_rows(
    targets: "Array", validation_fraction: float, test_fraction: float, seed: int
) -> "dict[str, Array]":
    """Row numbers of each part, in order; every class is split in the same proportions.

    Each class keeps a sample to train on. Raises ConfigError if a part would stay empty whose
    share is above 0.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    groups = [np.arange(len(targets))]
    if is_class(targets):
        groups = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    rows: dict[str, list[Array]] = {part: [] for part in PARTS}
    for group in groups:
        shuffled = draw.permutation(group)
        test = min(round(test_fraction * len(group)), len(group) - 1)
        held_out = min(test + round(validation_fraction * len(group)), len(group) - 1)
        rows["test"].append(shuffled[:test])
        rows["validation"].append(shuffled[test:held_out])
        rows["train"].append(shuffled[held_out:])
    shares = {"train": 1.0, "validation": validation_fraction, "test": test_fraction}
    for part, chosen in rows.items():
        if shares[part] and not sum(map(len, chosen)):
            raise ConfigError(
                f"the {part} part must get a sample, but {len(targets)} in all, or their classes,"
                f" are too few for that; give more, or a larger {part}_fraction"
            )
    return {part: np.sort(np.concatenate(chosen)) for part, chosen in rows.items()}


def split_training(
    x: "Array", y: "Array", validation_fraction: float, seed: int
) -> "dict[str, tuple[Array, Array]]":
    """Training and validation part of samples whose test part comes on its own."""
    rows = split_rows(y, validation_fraction, 0, seed)
    return {part: (x[rows[part]], y[rows[part]]) for part in ("train", "validation")}


def to_data(
    parts: "Mapping[str, tuple[Array, Array]]", *, standardize_targets: bool = False
) -> Data:
    """Tensors and their task, from the inputs and targets of each part.

    Inputs are standardized per feature (per channel of images) by the training part. Targets of
    whole numbers [samples] are classes; all others are regressed on, and stay as they are or are
    standardized in the same way.
    """
    import torch

    inputs = standardized({part: inputs for part, (inputs, _) in parts.items()})
    targets = {part: targets for part, (_, targets) in parts.items()}
    task, posed = pose(targets, inputs["train"].shape[1:], standardize_targets=standardize_targets)
    splits = {
        part: Split(torch.from_numpy(inputs[part]), torch.from_numpy(posed[part])) for part in parts
    }
    return Data(**splits, task=task)


def pose(
    targets: "Mapping[str, Array]", input_shape: tuple[int, ...], *, standardize_targets: bool
) -> "tuple[Task, dict[str, Array]]":
    """The task that the targets of the parts pose, and they as it takes them."""
    if is_class(targets["train"]):
        classes = max(int(y.max()) for y in targets.values()) + 1
        posed = {part: y.astype("int64") for part, y in targets.items()}
        return Task("classification", input_shape, classes), posed
    columns = {part: y.reshape(len(y), -1) for part, y in targets.items()}
    if standardize_targets:
        posed = standardized(columns)
    else:
        posed = {part: y.astype("float32") for part, y in columns.items()}
    return Task("regression", input_shape, posed["train"].shape[1]), posed


def is_class(targets: "Array") -> bool:
    """Whether the targets are class indices."""
    return targets.ndim == 1 and targets.dtype.kind in "iub"


def class_problems(targets: "Sequence[Array]") -> Iterator[str]:
    """What must hold for the class indices of the parts, training first, and does not."""
    lowest, highest = min(y.min() for y in targets), max(y.max() for y in targets)
    if lowest < 0:
        yield f"count its classes from 0, but has a class {lowest}"
    if targets[0].min() == targets[0].max():
        yield f"hold two classes at least to train on, but has class {int(targets[0].max())} alone"
    samples = sum(map(len, targets))
    if highest >= samples:
        yield f"number its classes without gaps, but has class {highest} among {samples} samples"
    if highest > targets[0].max():
        yield f"hold every class in its training part, but class {highest} is not"


def not_finite(array: "Array") -> int:
    """How many of the numbers are NaN or infinite in single precision, which training has."""
    import numpy as np

    with np.errstate(over="ignore"):
        return array.size - int(np.isfinite(array.astype("float32", copy=False)).sum())


def standardized(arrays: "Mapping[str, Array]") -> "dict[str, Array]":
    """The parts in float32, with mean 0 and deviation 1 of each feature in the training part."""
    import numpy as np

    train = arrays["train"]
    axes = (0, *range(2, train.ndim))
    mean = train.mean(axis=axes, keepdims=True, dtype="float64")
    squares = sum(
        np.square(train[rows] - mean).sum(axis=axes, keepdims=True) for rows in _chunks(train)
    )
    deviation = np.sqrt(squares / (train.size // train.shape[1]))
    # a feature that never varies, but for rounding, becomes zero and not noise of deviation 1
    deviation[deviation <= 1e-12 * abs(mean)] = 1.0
    scaled = {part: np.empty(array.shape, dtype="float32") for part, array in arrays.items()}
    for part, array in arrays.items():
        for rows in _chunks(array):
            scaled[part][rows] = (array[rows] - mean) / deviation
    return scaled


def _chunks(array: "Array") -> Iterator[slice]:
    rows = max(1, CHUNK // max(1, array[0].size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def limited(data: Data, max_samples: int | None, seed: int) -> Data:
    """The data with at most that many training samples, every class in its proportion.

    A smaller choice is part of a larger one of the same seed. All else stays as it is, the
    standardization too, so that losses compare.
    """
    import numpy as np

    samples = len(data.train.inputs)
    if max_samples is None or samples <= max_samples:
        return data
    labels = _strata(data)
    shuffled = np.random.default_rng(seed_draw(seed, "max_samples")).permutation(samples)
    place = np.empty(samples)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffled[np.argsort(place[shuffled], kind="stable")]
    rows = np.sort(order[:max_samples])
    train = Split(data.train.inputs[rows], data.train.targets[rows])
    return Data(train, data.validation, data.test, data.task)


def _strata(data: Data) -> "Array":
    """What the training samples are kept in proportion by: the class, where there is one."""
    import numpy as np

    task, targets = data.task, data.train.targets
    if task.kind == "classification" and targets.ndim == 1:
        return targets.numpy()
    column = 0
    for part in task.parts.values():
        if part.kind == "classification":
            return targets[:, column].numpy()
        column += part.columns
    return np.zeros(len(targets))
