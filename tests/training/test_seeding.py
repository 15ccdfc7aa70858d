import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.training.seeding import data_order, seed_generators, seeded_generator


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), torch.rand(()).item()


def test_every_generator_follows_the_key() -> None:
    seed_generators(0, "epoch", 3)
    first = draws()
    seed_generators(0, "epoch", 4)
    other = draws()
    seed_generators(0, "epoch", 3)
    assert draws() == first
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_generator_of_its_own_leaves_the_others_alone() -> None:
    seed_generators("test")
    expected = torch.rand(3)
    seed_generators("test")
    torch.rand(100, generator=seeded_generator("mine"))
    assert torch.equal(torch.rand(3), expected)


@given(samples=st.integers(1, 200), seed=st.integers(0), epoch=st.integers(0, 1000))
def test_an_order_visits_every_sample_once(samples: int, seed: int, epoch: int) -> None:
    order = data_order(samples, seed, epoch)
    assert order.sort().values.tolist() == list(range(samples))
    assert torch.equal(order, data_order(samples, seed, epoch))


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = [data_order(100, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
