import pytest
import torch
from torch import nn
from torch.nn import functional

from raytune_pipe.networks.resnet import Block, BlockKind, Layers, Resnet

RELU_BATCH = Layers(nn.ReLU, "batch")


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_layers_with_weights_are_as_many_as_the_depth(depth: int) -> None:
    network = Resnet(channels=3, depth=depth, width=4, outputs=10)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


@pytest.mark.parametrize("block", ["basic", "preactivation"])
def test_resnet_20_has_the_parameters_of_the_paper(block: BlockKind) -> None:
    network = Resnet(channels=3, depth=20, width=16, outputs=10, block=block)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.27e6, rel=0.01)


def test_stages_double_the_width_and_halve_the_image() -> None:
    network = Resnet(channels=1, depth=14, width=4, outputs=10)
    hidden, shapes = torch.randn(2, 4, 32, 32), []
    for block in network.blocks:
        hidden = block(hidden)
        shapes.append(tuple(hidden.shape[1:]))
    assert shapes == [(4, 32, 32)] * 2 + [(8, 16, 16)] * 2 + [(16, 8, 8)] * 2


@pytest.mark.parametrize("kind", ["basic", "preactivation"])
def test_a_block_whose_branch_is_silent_passes_its_input_on(kind: BlockKind) -> None:
    block = Block(kind, RELU_BATCH, 2, 4, stride=2)
    last = [m for m in block.branch if isinstance(m, nn.Conv2d | nn.BatchNorm2d)][-1]
    nn.init.zeros_(last.weight)
    images = torch.rand(3, 2, 6, 6)
    outputs = block(images)
    assert torch.equal(outputs[:, :2], images[:, :, ::2, ::2])
    assert not outputs[:, 2:].any()


def test_blocks_apply_norm_and_activation_where_the_papers_have_them() -> None:
    images = torch.randn(5, 4, 6, 6)
    basic = Block("basic", RELU_BATCH, 4, 4)
    conv1, norm1, _, conv2, norm2 = basic.branch
    expected = functional.relu(images + norm2(conv2(functional.relu(norm1(conv1(images))))))
    torch.testing.assert_close(basic(images), expected)
    pre = Block("preactivation", RELU_BATCH, 4, 4)
    norm1, _, conv1, norm2, _, conv2 = pre.branch
    hidden = conv1(functional.relu(norm1(images)))
    expected = images + conv2(functional.relu(norm2(hidden)))
    torch.testing.assert_close(pre(images), expected)


def test_preactivation_begins_and_ends_as_in_the_paper() -> None:
    """Norm and activation come once before the first block splits, and after the last sum."""
    network = Resnet(channels=1, depth=8, width=4, outputs=3, block="preactivation")
    images = torch.randn(5, 1, 8, 8)
    conv, norm, _ = network.first
    hidden = functional.relu(norm(conv(images)))
    first = network.blocks[0]
    assert isinstance(first, Block)
    conv1, norm1, _, conv2 = first.branch
    hidden = hidden + conv2(functional.relu(norm1(conv1(hidden))))
    hidden = network.blocks[2](network.blocks[1](hidden))
    norm, _ = network.last
    pooled = functional.relu(norm(hidden)).mean((2, 3))
    torch.testing.assert_close(network(images), network.head(pooled))


def test_stochastic_depth_grows_evenly_and_can_leave_all_branches_out() -> None:
    network = Resnet(channels=1, depth=20, width=4, outputs=3)
    depths = network.rate_holders()["stochastic_depth"]
    shares = [depth.share for depth in depths if hasattr(depth, "share")]
    torch.testing.assert_close(shares, [(index + 1) / 9 for index in range(9)])
    block = Block("preactivation", RELU_BATCH, 4, 4)
    block.stochastic_depth.p = 1 - 1e-12
    images = torch.randn(5, 4, 6, 6)
    assert torch.equal(block(images), images)


def test_odd_image_sizes_work() -> None:
    network = Resnet(channels=1, depth=8, width=4, outputs=10)
    assert network(torch.randn(2, 1, 7, 5)).shape == (2, 10)


def test_memory_layout_does_not_change_the_result() -> None:
    network = Resnet(channels=3, depth=8, width=4, outputs=10).eval()
    images = torch.randn(2, 3, 8, 8)
    expected = network(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(network(images), expected)
