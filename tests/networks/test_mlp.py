import torch
from torch import nn

from raytune_pipe.networks.mlp import Mlp


def test_layers_are_as_wide_as_asked() -> None:
    network = Mlp(12, (5, 3), 2, nn.ReLU, 0.0)
    shapes = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(5, 12), (3, 5), (2, 3)]


def test_images_are_flattened() -> None:
    network = Mlp(12, (5,), 2, nn.Tanh, 0.0)
    images = torch.randn(7, 3, 2, 2)
    torch.testing.assert_close(network(images), network(images.flatten(1)))
