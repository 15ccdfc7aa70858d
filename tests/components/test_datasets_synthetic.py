import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from raytune_pipe.components.datasets_synthetic import Synthetic


def loss_of_the_linear_teacher(noise: float) -> tuple[float, float]:
    """What a linear model fitted to many samples reaches, and the best there is."""
    dataset = Synthetic(task="regression", teacher_depth=0, noise=noise, samples=40_000, features=5)
    data = dataset.load()
    weights = torch.linalg.lstsq(data.train.inputs, data.train.targets).solution
    outputs = data.validation.inputs @ weights
    return data.task.plain_loss(outputs, data.validation.targets).item(), dataset.best_loss()


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_the_best_squared_error_is_the_noise(noise: float) -> None:
    reached, best = loss_of_the_linear_teacher(noise)
    # 8,000 samples of a chi-squared, and the teacher's mean and deviation over the sample
    assert reached == pytest.approx(best, abs=0.05 * noise + 1e-3)


def test_targets_have_variance_one() -> None:
    targets = Synthetic(task="regression", samples=40_000, noise=0.3).load().train.targets
    assert targets.var().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("noise", "classes"), [(0.1, 2), (0.3, 4)])
def test_the_best_cross_entropy_is_the_entropy_of_the_labels(noise: float, classes: int) -> None:
    noisy = Synthetic(noise=noise, classes=classes, samples=40_000)
    labels, true = in_order(noisy), in_order(Synthetic(noise=0, classes=classes, samples=40_000))
    assert (labels == true).float().mean().item() == pytest.approx(1 - noise, abs=0.01)
    best = torch.full((len(labels), classes), noise / (classes - 1))
    best.scatter_(1, true[:, None], 1 - noise)
    assert functional.nll_loss(best.log(), labels).item() == pytest.approx(
        noisy.best_loss(), abs=0.02
    )


def in_order(dataset: Synthetic) -> torch.Tensor:
    """The labels of all samples, by the first input, which no scale changes the order of."""
    data = dataset.load()
    splits = (data.train, data.validation, data.test)
    order = torch.cat([split.inputs[:, 0] for split in splits]).argsort(stable=True)
    return torch.cat([split.targets for split in splits])[order]


def test_without_noise_there_is_no_loss() -> None:
    assert Synthetic(noise=0).best_loss() == 0
    assert Synthetic(noise=0.75, classes=4).best_loss() == pytest.approx(math.log(4))


def test_the_seed_fixes_all() -> None:
    first, same, other = (Synthetic(seed=seed).load().train.targets for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_deeper_teacher_is_less_linear() -> None:
    def linear_error(depth: int) -> float:
        data = Synthetic(
            task="regression", noise=0, teacher_depth=depth, samples=20_000, seed=3
        ).load()
        weights = torch.linalg.lstsq(data.train.inputs, data.train.targets).solution
        return data.task.plain_loss(
            data.validation.inputs @ weights, data.validation.targets
        ).item()

    errors = [linear_error(depth) for depth in (0, 1, 4)]
    assert errors[0] < 1e-3 < 0.1 < errors[1] < errors[2]


def test_more_than_can_be_held_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"samples x features must be at most 1,000,000,000"):
        Synthetic(samples=10**6, features=10**6)
