import pytest
import torch
from torch import nn

from raytune_pipe.networks.resnet import Block, Resnet


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_layers_with_weights_are_as_many_as_the_depth(depth: int) -> None:
    network = Resnet(channels=3, depth=depth, width=4, outputs=10, dropout=0.0)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_resnet_20_has_the_parameters_of_the_paper() -> None:
    network = Resnet(channels=3, depth=20, width=16, outputs=10, dropout=0.0)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.27e6, rel=0.01)


def test_stages_double_the_width_and_halve_the_image() -> None:
    network = Resnet(channels=1, depth=14, width=4, outputs=10, dropout=0.0)
    hidden, shapes = torch.randn(2, 4, 32, 32), []
    for block in network.blocks:
        hidden = block(hidden)
        shapes.append(tuple(hidden.shape[1:]))
    assert shapes == [(4, 32, 32)] * 2 + [(8, 16, 16)] * 2 + [(16, 8, 8)] * 2


def test_a_block_whose_convolutions_are_silent_passes_its_input_on() -> None:
    block = Block(2, 4, stride=2)
    nn.init.zeros_(block.norm2.weight)
    images = torch.rand(3, 2, 6, 6)
    outputs = block(images)
    assert torch.equal(outputs[:, :2], images[:, :, ::2, ::2])
    assert not outputs[:, 2:].any()


def test_odd_image_sizes_work() -> None:
    network = Resnet(channels=1, depth=8, width=4, outputs=10, dropout=0.0)
    assert network(torch.randn(2, 1, 7, 5)).shape == (2, 10)


def test_memory_layout_does_not_change_the_result() -> None:
    network = Resnet(channels=3, depth=8, width=4, outputs=10, dropout=0.0).eval()
    images = torch.randn(2, 3, 8, 8)
    expected = network(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(network(images), expected)
