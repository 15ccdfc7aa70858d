import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raytune_pipe.networks.losses import CentreLoss


def same(tensor: Tensor) -> Tensor:
    """The sum over one worker."""
    return tensor


def prepared() -> CentreLoss:
    loss = CentreLoss(classes=3, weight=0.1, alpha=0.5)
    loss.prepare(torch.zeros(1, 2, 2))
    return loss


def batch() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(8, 3), torch.tensor([0, 0, 1, 0, 1, 0, 1, 1]), torch.randn(8, 2, 2)


def test_it_is_cross_entropy_and_the_distance_from_centres() -> None:
    outputs, targets, features = batch()
    loss = prepared()
    loss.centres += torch.arange(12.0).view(3, 4)
    found = loss(outputs, targets, features)
    distances = (features.flatten(1) - loss.centres[targets]).square().sum(1)
    entropy = functional.cross_entropy(outputs, targets)
    torch.testing.assert_close(found, entropy + 0.1 / 2 * distances.mean())
    expected = {"cross_entropy": entropy, "centre": 0.05 * distances.mean()}
    torch.testing.assert_close(loss.terms, expected)


def test_it_pulls_the_features_to_their_centre() -> None:
    outputs, targets, features = batch()
    loss = prepared()
    loss.centres += 1.0
    loss(outputs, targets, features.requires_grad_()).backward()
    torch.testing.assert_close(features.grad, 0.1 * (features.detach() - 1.0) / 8)


@pytest.mark.parametrize("parts", [1, 3])
def test_centres_move_by_the_papers_rule_after_a_whole_batch(parts: int) -> None:
    outputs, targets, features = batch()
    loss = prepared()
    before = torch.randn(3, 4)
    loss.centres.copy_(before)
    split = zip(*(each.tensor_split(parts) for each in (outputs, targets, features)), strict=True)
    for part in split:
        loss(*part)
        assert torch.equal(loss.centres, before)
    loss.move(same, counted=True)
    for name in range(3):
        own = features.flatten(1)[targets == name]
        delta = (before[name] - own).sum(0) / (1 + len(own))
        torch.testing.assert_close(loss.centres[name], before[name] - 0.5 * delta)
    moved = loss.centres.clone()
    loss.move(same, counted=True)
    assert torch.equal(loss.centres, moved), "what was seen counts once"


def test_samples_that_do_not_count_move_no_centre() -> None:
    loss = prepared()
    loss(*batch())
    loss.move(same, counted=False)
    assert not loss.centres.any()


def test_its_centres_are_its_state() -> None:
    loss, copy = prepared(), prepared()
    loss(*batch())
    loss.move(same, counted=True)
    assert loss.state_dict().keys() == {"centres"}
    copy.load_state_dict(loss.state_dict())
    assert torch.equal(copy.centres, loss.centres)


def test_bfloat16_outputs_and_features_will_do() -> None:
    outputs, targets, features = batch()
    exact, rounded = prepared(), prepared()
    expected = exact(outputs, targets, features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = rounded(outputs.bfloat16(), targets, features.bfloat16())
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    exact.move(same, counted=True)
    rounded.move(same, counted=True)
    torch.testing.assert_close(rounded.centres, exact.centres, rtol=0.02, atol=0.02)
