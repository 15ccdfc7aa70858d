"""Datasets: in memory, split and standardized the same way for every trial of an experiment."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, ConfigError, Seed
from raytune_pipe.components.datasets_arrays import Arrays
from raytune_pipe.components.imported import Args, Target, load_target
from raytune_pipe.components.splits import HeldOut, split_rows, to_data
from raytune_pipe.components.task import Data


class Digits(Component):
    """1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn: 10 classes."""

    kind: Literal["digits"] = "digits"
    """Name of the dataset."""
    split_seed: Seed = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the samples that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the samples that is kept for the end."""

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
        return to_data({part: (images[rows], classes[rows]) for part, rows in parts.items()})


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


Dataset = Annotated[Digits | Arrays | Imported, Field(discriminator="kind")]
