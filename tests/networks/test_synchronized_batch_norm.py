"""What needs no other rank; `tests/training/test_world.py` compares several with one."""

import pytest
import torch
from torch import nn

from raytune_pipe.networks.synchronized_batch_norm import (
    SynchronizedBatchNorm,
    synchronize_batch_norms,
)


class Own(nn.BatchNorm2d):
    """A user's own batch norm."""


def test_plain_batch_norms_are_replaced_and_keep_their_state() -> None:
    shared = nn.BatchNorm1d(3)
    model = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3, eps=0.1, momentum=None)), shared, shared)
    names, weights = list(model.state_dict()), list(model.parameters())
    synchronized = synchronize_batch_norms(model)
    assert synchronized is model
    assert list(model.state_dict()) == names
    assert all(a is b for a, b in zip(model.parameters(), weights, strict=True))
    first, second = model.get_submodule("0.0"), model[1]
    assert isinstance(first, SynchronizedBatchNorm)
    assert (first.eps, first.momentum) == (0.1, None)
    assert second is model[2]
    assert isinstance(synchronize_batch_norms(nn.BatchNorm1d(2)), SynchronizedBatchNorm)


def test_a_users_own_batch_norm_stays() -> None:
    model = nn.Sequential(Own(3), nn.Linear(2, 2))
    synchronize_batch_norms(model)
    assert isinstance(model[0], Own)


@pytest.mark.parametrize("tracked", [True, False])
def test_evaluation_is_that_of_the_plain_one(tracked: bool) -> None:
    plain = nn.BatchNorm1d(3, track_running_stats=tracked)
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    plain(inputs * 2 + 1)
    plain.eval()
    expected = plain(inputs)
    assert torch.equal(synchronize_batch_norms(plain)(inputs), expected)
