from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets as theirs

from raytune_pipe.base import ConfigError
from raytune_pipe.components.datasets_tables import BreastCancer, Diabetes, Wine, bundled
from raytune_pipe.components.task import Data


def scaled(samples: torch.Tensor) -> torch.Tensor:
    """Each column with mean 0 and deviation 1: the same for any scale that it came in."""
    return (samples - samples.mean(0)) / samples.std(0)


def samples(data: Data) -> torch.Tensor:
    """All samples with their targets."""
    splits = (data.train, data.validation, data.test)
    return torch.cat([torch.column_stack([one.inputs, one.targets]) for one in splits]).double()


@pytest.mark.parametrize(
    ("dataset", "loader"),
    [
        (BreastCancer(), theirs.load_breast_cancer),
        (Wine(), theirs.load_wine),
        (Diabetes(), lambda: theirs.load_diabetes(scaled=False)),
    ],
    ids=["breast_cancer", "wine", "diabetes"],
)
def test_tables_are_those_of_scikit_learn(
    dataset: BreastCancer | Wine | Diabetes, loader: Any
) -> None:
    found = loader()
    expected = torch.from_numpy(np.column_stack([found.data, found.target])).double()
    distances = torch.cdist(scaled(samples(dataset.load())), scaled(expected))
    nearest = distances.min(dim=1)
    assert nearest.values.max() < 1e-4
    assert nearest.indices.sort().values.tolist() == list(range(len(expected)))


def test_the_diabetes_target_has_variance_one_in_the_training_part() -> None:
    data = Diabetes().load()
    assert data.task.kind == "regression"
    torch.testing.assert_close(data.train.targets.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(data.train.targets.var(correction=0), torch.tensor(1.0))
    # the mean predicted, which is what its docstring says
    assert data.task.plain_loss(torch.zeros(266, 1), data.train.targets).item() == pytest.approx(1)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"dataset iris2 must find its file .*/iris2\.csv"):
        bundled("iris2", "iris2.csv")
