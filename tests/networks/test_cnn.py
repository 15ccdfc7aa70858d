import pytest
import torch
from torch import nn

from raytune_pipe.networks.cnn import Cnn, Pooling


def test_layers_equal_a_plain_composition() -> None:
    network = Cnn(2, (4, 6), [(3, 3), (1, 7)], 5, nn.ELU)
    images = torch.randn(3, 2, 8, 8)
    plain = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, (1, 7), padding=(0, 3), bias=False),
        nn.BatchNorm2d(6),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    own, others = list(network.parameters()), list(plain.parameters())
    for parameter, other in zip(own, others, strict=True):
        other.data.copy_(parameter.data)
    torch.testing.assert_close(network(images), plain(images))


@pytest.mark.parametrize(("pooling", "side"), [("max", 2), ("average", 2), ("none", 7)])
def test_pooling_halves_and_keeps_what_is_odd(pooling: Pooling, side: int) -> None:
    network = Cnn(1, (3, 3), [(3, 3), (7, 7)], 2, nn.ReLU, pooling)
    assert network.layers(torch.randn(1, 1, 7, 7)).shape == (1, 3, side, side)


def test_more_layers_than_halvings_leave_one_pixel() -> None:
    network = Cnn(1, (3,) * 5, [(3, 3)] * 5, 2, nn.ReLU, "average", "group")
    assert network.layers(torch.randn(2, 1, 5, 4)).shape == (2, 3, 1, 1)


def test_spatial_dropout_drops_whole_channels() -> None:
    network = Cnn(1, (200,), [(1, 1)], 2, nn.Sigmoid, "none", "none")
    for holder in network.rate_holders()["spatial_dropout"]:
        holder.p = 0.5
    pixels = network.layers(torch.randn(1, 1, 4, 4))[0].flatten(1)
    dropped = (pixels == 0).all(dim=1)
    assert torch.equal(dropped, (pixels == 0).any(dim=1))
    assert 50 < dropped.sum() < 150
