"""Datasets: in memory, split and standardized the same way for every trial of an experiment."""

from typing import Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_arrays import Arrays
from raytune_pipe.components.datasets_binary import Cifar10, Idx
from raytune_pipe.components.datasets_images import ImageFolder
from raytune_pipe.components.datasets_parquet import Parquet
from raytune_pipe.components.datasets_synthetic import Synthetic
from raytune_pipe.components.datasets_tables import BreastCancer, Diabetes, Wine, bundled
from raytune_pipe.components.datasets_text import Text
from raytune_pipe.components.imported import Args, Target, load_target
from raytune_pipe.components.splits import HeldOut, split_data
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
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """Images [samples, 1, 8, 8] standardized by the training part; classes stratified."""
        table = bundled("digits", "digits.csv.gz")
        images = table[:, :-1].reshape(-1, 1, 8, 8)
        return split_data(self, images, table[:, -1].astype("int64"))


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


Dataset = Annotated[
    Digits
    | BreastCancer
    | Wine
    | Diabetes
    | Text
    | Synthetic
    | Arrays
    | Parquet
    | ImageFolder
    | Idx
    | Cifar10
    | Imported,
    Field(discriminator="kind"),
]
