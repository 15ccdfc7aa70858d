import torch
from torch.nn import functional

from raytune_pipe.components.task import Task


def test_plain_loss_is_cross_entropy_or_squared_error() -> None:
    outputs, classes, numbers = torch.randn(6, 3), torch.randint(3, (6,)), torch.randn(6, 3)
    torch.testing.assert_close(
        Task("classification", (4,), 3).plain_loss(outputs, classes),
        functional.cross_entropy(outputs, classes),
    )
    torch.testing.assert_close(
        Task("regression", (4,), 3).plain_loss(outputs, numbers),
        functional.mse_loss(outputs, numbers),
    )
