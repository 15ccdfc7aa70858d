"""Datasets: in memory, split and standardized the same way for every trial of an experiment."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from raytune_pipe.base import Component, ConfigError
from raytune_pipe.components.imported import Args, Target, load_target
from raytune_pipe.components.task import Data, Split, Task, TaskKind

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PARTS = ("train", "validation", "test")


class Digits(Component):
    """1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn: 10 classes."""

    kind: Literal["digits"] = "digits"
    """Name of the dataset."""
    split_seed: int = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that score the trials."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that is kept for the end."""

    @model_validator(mode="after")
    def _some_left_to_train(self) -> Self:
        _require_training_part(self.validation_fraction, self.test_fraction)
        return self

    def load(self) -> Data:
        """Images [samples, 1, 8, 8] standardized by the training part; classes stratified."""
        import numpy as np

        # importing scikit-learn for its one CSV file would cost every worker a second
        spec = importlib.util.find_spec("sklearn")
        if spec is None or spec.origin is None:
            raise ConfigError(
                "dataset digits must find scikit-learn, which brings its file, but it is not"
                " installed; run: pip install scikit-learn"
            )
        file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
        images, classes = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
        parts = split_rows(classes, self.validation_fraction, self.test_fraction, self.split_seed)
        return _assemble({part: (images[rows], classes[rows]) for part, rows in parts.items()})


class Arrays(Component):
    """The user's own arrays in an .npz file.

    Either ``x`` and ``y``, split here, or the user's own split: ``x_train``, ``y_train``,
    ``x_validation``, ``y_validation``, ``x_test`` and ``y_test``. Whole-number targets [samples]
    are classes 0 to n - 1; others are regressed on, and kept as they are. Inputs [samples, ...]
    are standardized per feature (per channel of images) by the training part.
    """

    kind: Literal["arrays"] = "arrays"
    """Name of the dataset."""
    path: Annotated[str, AfterValidator(lambda path: str(Path(path).absolute()))]
    """The .npz file; relative to the current folder, recorded absolute."""
    split_seed: int = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that score the trials."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that is kept for the end."""

    @model_validator(mode="after")
    def _some_left_to_train(self) -> Self:
        _require_training_part(self.validation_fraction, self.test_fraction)
        return self

    def load(self) -> Data:
        """The arrays as tensors; raises ConfigError if the file does not hold what it must."""
        arrays = _read_npz(self.path)
        if "x" in arrays:
            x, y = arrays["x"], arrays["y"]
            rows = split_rows(y, self.validation_fraction, self.test_fraction, self.split_seed)
            return _assemble({part: (x[rows[part]], y[rows[part]]) for part in PARTS})
        return _assemble({part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in PARTS})


class Imported(Component):
    """The user's own data: the target called with the arguments."""

    kind: Literal["imported"] = "imported"
    """Name of the dataset."""
    target: Target
    """``package.module:name`` of a function that returns `Data`."""
    args: Annotated[Args, Field(default_factory=dict)]
    """Keyword arguments for it."""

    def load(self) -> Data:
        """What the target returns; raises ConfigError if it is not `Data`."""
        data = load_target(self.target)(**self.args)
        if not isinstance(data, Data):
            raise ConfigError(
                f"target {self.target} must return raytune_pipe.components.task.Data, but returned"
                f" a {type(data).__name__}"
            )
        return data


def split_rows(
    targets: "Array", validation_fraction: float, test_fraction: float, seed: int
) -> "dict[str, Array]":
    """Row numbers of each part, in order; every class is split in the same proportions."""
    import numpy as np

    draw = np.random.default_rng(seed)
    groups = [np.arange(len(targets))]
    if _is_class(targets):
        groups = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    rows: dict[str, list[Array]] = {part: [] for part in PARTS}
    for group in groups:
        shuffled = draw.permutation(group)
        test = round(test_fraction * len(group))
        held_out = test + round(validation_fraction * len(group))
        rows["test"].append(shuffled[:test])
        rows["validation"].append(shuffled[test:held_out])
        rows["train"].append(shuffled[held_out:])
    return {part: np.sort(np.concatenate(groups)) for part, groups in rows.items()}


def _assemble(parts: "dict[str, tuple[Array, Array]]") -> Data:
    """Standardized tensors and the task that they pose."""
    import numpy as np
    import torch

    train_inputs, train_targets = parts["train"]
    axes = (0, *range(2, train_inputs.ndim))
    mean = train_inputs.mean(axis=axes, keepdims=True, dtype=np.float64)
    deviation = train_inputs.std(axis=axes, keepdims=True, dtype=np.float64)
    deviation[deviation == 0] = 1.0  # a feature that never varies stays at zero
    classes = _is_class(train_targets)
    splits = {}
    for part, (x, y) in parts.items():
        inputs = torch.from_numpy(((x - mean) / deviation).astype(np.float32))
        targets = y.astype(np.int64) if classes else y.astype(np.float32).reshape(len(y), -1)
        splits[part] = Split(inputs, torch.from_numpy(targets))
    outputs = int(train_targets.max()) + 1 if classes else splits["train"].targets.shape[1]
    kind: TaskKind = "classification" if classes else "regression"
    return Data(**splits, task=Task(kind, train_inputs.shape[1:], outputs))


def _is_class(targets: "Array") -> bool:
    return targets.ndim == 1 and targets.dtype.kind in "iub"


def _require_training_part(validation_fraction: float, test_fraction: float) -> None:
    if validation_fraction + test_fraction >= 1:
        raise ValueError(
            "validation_fraction and test_fraction must sum to less than 1, but got"
            f" {validation_fraction} and {test_fraction}"
        )


def _read_npz(path: str) -> "dict[str, Array]":
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"path must be a readable .npz file, but got {path}: {error}") from error


Dataset = Annotated[Digits | Arrays | Imported, Field(discriminator="kind")]
