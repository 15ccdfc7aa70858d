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


def test_several_tasks_have_their_columns_side_by_side() -> None:
    parts = {"digit": Task("classification", (4,), 3), "slant": Task("regression", (4,), 2)}
    task = Task("several", (4,), 5, parts=parts)
    outputs, classes, slants = torch.randn(6, 5), torch.randint(3, (6,)), torch.randn(6, 2)
    targets = torch.cat([classes[:, None].float(), slants], dim=1)
    own_outputs, own_targets = task.parted(outputs, targets)["digit"]
    assert torch.equal(own_outputs, outputs[:, :3])
    assert torch.equal(own_targets, classes)
    torch.testing.assert_close(
        task.plain_loss(outputs, targets),
        functional.cross_entropy(outputs[:, :3], classes)
        + functional.mse_loss(outputs[:, 3:], slants),
    )


def test_tokens_have_a_class_at_each_position() -> None:
    task = Task("classification", (7,), 5, tokens=5)
    outputs, targets = torch.randn(6, 5, 7), torch.randint(5, (6, 7))
    each = [functional.cross_entropy(outputs[:, :, at], targets[:, at]) for at in range(7)]
    torch.testing.assert_close(task.plain_loss(outputs, targets), torch.stack(each).mean())
