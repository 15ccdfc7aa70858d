import torch
from torch import Tensor
from torch.nn import functional

from raytune_pipe.components.task import Data, Split, Task


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


def counted(task: Task, targets: Tensor) -> Task:
    """By the training part, whatever classes the other parts have."""
    train, other = Split(torch.zeros(len(targets), 4), targets), torch.zeros_like(targets)
    held_out = Split(torch.zeros(len(targets), 4), other)
    return Data(train, held_out, held_out, task).counted().task


def test_the_classes_of_the_training_part_are_counted() -> None:
    task = Task("classification", (4,), 4)
    assert counted(task, torch.tensor([3, 1, 3, 3])).class_counts == (0, 1, 0, 3)
    tokens = Task("classification", (3,), 4, tokens=4)
    assert counted(tokens, torch.tensor([[3, 1, 3], [0, 3, 1]])).class_counts == (1, 2, 0, 3)
    assert counted(Task("regression", (4,), 1), torch.zeros(4, 1)).class_counts is None


def test_positions_that_a_loss_passes_over_are_not_counted() -> None:
    padded = torch.tensor([[2, 0, -100], [1, -100, -100]])  # as torch's cross_entropy has it
    assert counted(Task("classification", (3,), 3), padded).class_counts == (1, 1, 1)


def test_each_of_several_tasks_has_counts_of_its_own() -> None:
    parts = {
        "slant": Task("regression", (4,), 2),
        "digit": Task("classification", (4,), 3),
        "side": Task("classification", (4,), 2),
    }
    columns = [torch.randn(5, 2), torch.tensor([[0, 1], [2, 1], [2, 0], [2, 1], [0, 1]])]
    task = counted(Task("several", (4,), 7, parts=parts), torch.cat(columns, 1))
    found = {name: part.class_counts for name, part in task.parts.items()}
    assert found == {"slant": None, "digit": (2, 0, 3), "side": (1, 4)}
    assert task.class_counts is None
