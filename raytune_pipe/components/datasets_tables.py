"""Small tables, from the files that scikit-learn brings along."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.splits import HeldOut, split_data
from raytune_pipe.components.task import Data

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class BreastCancer(Component):
    """569 breast tumors by 30 measures of their cells, bundled with scikit-learn: 2 classes."""

    kind: Literal["breast_cancer"] = "breast_cancer"
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
        """Features [samples, 30] standardized by the training part; malignant is class 0."""
        table = bundled("breast_cancer", "breast_cancer.csv", header_lines=1)
        return split_data(self, table[:, :-1], table[:, -1].astype("int64"))


class Wine(Component):
    """178 wines by 13 chemical measures, bundled with scikit-learn: 3 classes."""

    kind: Literal["wine"] = "wine"
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
        """Features [samples, 13] standardized by the training part; classes stratified."""
        table = bundled("wine", "wine_data.csv", header_lines=1)
        return split_data(self, table[:, :-1], table[:, -1].astype("int64"))


class Diabetes(Component):
    """442 patients by 10 measures, bundled with scikit-learn: how far their diabetes got in a year.

    The target is standardized by the training part, so that ``val_loss`` (of mse) is in units of
    the target's variance there, 5,900 or so: 1 is what predicting the mean comes to, and 1 minus
    it is about the explained share.
    """

    kind: Literal["diabetes"] = "diabetes"
    """Name of the dataset."""
    split_seed: Seed = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the samples that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the samples that is kept for the end."""
    max_samples: Count | None = None
    """At most that many samples of the training part; all by default."""

    def load(self) -> Data:
        """Features [samples, 10] and target [samples, 1], standardized by the training part."""
        features = bundled("diabetes", "diabetes_data_raw.csv.gz", delimiter=None)
        target = bundled("diabetes", "diabetes_target.csv.gz")
        return split_data(self, features, target, standardize_targets=True)


def bundled(
    dataset: str, name: str, *, delimiter: str | None = ",", header_lines: int = 0
) -> "Array":
    """A table of numbers from scikit-learn's files, float32.

    Importing scikit-learn for it would cost every worker a second.
    """
    import numpy as np

    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"dataset {dataset} must find scikit-learn, which brings its file, but it is not"
            " installed; run: pip install scikit-learn"
        )
    file = Path(spec.origin).parent / "datasets" / "data" / name
    try:
        return np.loadtxt(file, delimiter=delimiter, skiprows=header_lines, dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(
            f"dataset {dataset} must find its file with scikit-learn, but {file} cannot be read"
            f" ({error}); run: pip install --force-reinstall scikit-learn"
        ) from error
