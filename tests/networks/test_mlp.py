import torch
from torch import nn

from raytune_pipe.networks.mlp import Mlp


def test_layers_are_as_wide_as_asked() -> None:
    network = Mlp(12, (5, 3), 2, nn.ReLU)
    shapes = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(5, 12), (3, 5), (2, 3)]


def test_images_are_flattened() -> None:
    network = Mlp(12, (5,), 2, nn.Tanh)
    images = torch.randn(7, 3, 2, 2)
    torch.testing.assert_close(network(images), network(images.flatten(1)))


def test_layers_apply_norm_activation_dropout_in_this_order() -> None:
    network = Mlp(4, (6,), 2, nn.GELU, "batch")
    dense, norm, *_ = network.layers
    plain = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.GELU())
    plain[0].load_state_dict(dense.state_dict())
    plain[1].load_state_dict(norm.state_dict())
    inputs = torch.randn(9, 4)
    torch.testing.assert_close(network(inputs), network.head(plain(inputs)))
