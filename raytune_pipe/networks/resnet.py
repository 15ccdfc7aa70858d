"""Residual network for small images (He et al. 2016, arXiv:1512.03385, section 4.2).

Legend: n images, c channels, h and w pixels.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from raytune_pipe.networks.norms import ImageNorm, image_norm
from raytune_pipe.networks.stochastic_depth import StochasticDepth

BlockKind = Literal["basic", "preactivation"]


class Layers:
    """Makes the parts of a network that all have the same activation and norm."""

    def __init__(self, activation: Callable[[], nn.Module], norm: ImageNorm) -> None:
        self.activation = activation
        self.norm = norm

    def conv(self, channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
        """A 3x3 convolution; it has a bias where no norm has one."""
        bias = self.norm == "none"
        return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=bias)

    def norm_and_activation(self, channels: int) -> tuple[nn.Module, nn.Module]:
        """The two that stand together everywhere, but before a sum."""
        return image_norm(self.norm, channels), self.activation()


class Block(nn.Module):
    """A branch of two 3x3 convolutions, and a shortcut without parameters.

    Basic: norm and activation after each convolution, the last activation after the sum. With
    preactivation: both before each convolution, none after the sum (He et al. 2016,
    arXiv:1603.05027).
    """

    def __init__(
        self,
        kind: BlockKind,
        layers: Layers,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        depth_share: float = 1.0,
        *,
        is_activated: bool = False,
    ) -> None:
        """Where the input ``is_activated``, preactivation does not do that to it once more."""
        super().__init__()
        conv1 = layers.conv(channels_in, channels_out, stride)
        middle = layers.norm_and_activation(channels_out)
        conv2 = layers.conv(channels_out, channels_out)
        # in the order in which they apply: initializers look there for a layer's activation
        if kind == "basic":
            norm, after = layers.norm_and_activation(channels_out)
            self.branch = nn.Sequential(conv1, *middle, conv2, norm)
        else:
            before = () if is_activated else layers.norm_and_activation(channels_in)
            after = nn.Identity()
            self.branch = nn.Sequential(*before, conv1, *middle, conv2)
        self.activation = after
        self.stochastic_depth = StochasticDepth(0.0, depth_share)
        self.stride = stride
        self.added_channels = channels_out - channels_in

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, c_out, h / stride, w / stride]."""
        branch = self.stochastic_depth(self.branch(inputs))
        outputs: Tensor = self.activation(branch + self._shortcut(inputs))
        return outputs

    def _shortcut(self, inputs: Tensor) -> Tensor:
        """The paper's option A: every stride-th pixel, new channels filled with zeros."""
        if self.stride > 1:
            inputs = inputs[:, :, :: self.stride, :: self.stride]
        if self.added_channels:
            inputs = functional.pad(inputs, (0, 0, 0, 0, 0, self.added_channels))
        return inputs


class Resnet(nn.Module):
    """Three stages of n blocks, 6n + 2 layers deep; the width doubles as the image halves.

    With preactivation the first block's norm and activation stand before its shortcut too, and the
    last block is followed by both (arXiv:1603.05027, appendix).

    Dropout sits before the classifier only: before a batch norm it would shift the variance
    between training and evaluation (Li et al. 2019, arXiv:1801.05134).
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        width: int,
        outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        *,
        norm: ImageNorm = "batch",
        block: BlockKind = "basic",
    ) -> None:
        super().__init__()
        layers = Layers(activation, norm)
        widths = [width << stage for stage in range(3) for _ in range((depth - 2) // 6)]
        blocks = []
        for index, (before, after) in enumerate(zip([width, *widths], widths, strict=False)):
            stride, share = 1 if before == after else 2, (index + 1) / len(widths)
            blocks.append(
                Block(block, layers, before, after, stride, share, is_activated=index == 0)
            )
        last = () if block == "basic" else layers.norm_and_activation(widths[-1])
        self.first = nn.Sequential(layers.conv(channels, width), *layers.norm_and_activation(width))
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(*last)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(widths[-1], outputs)
        # on a CPU core a step is 1.35 times as fast at 32 x 32 pixels, and as fast at 8 x 8
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] -> [n, outputs]."""
        images = images.contiguous(memory_format=torch.channels_last)
        pooled = self.last(self.blocks(self.first(images))).mean((2, 3))
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

    def rate_holders(self) -> dict[str, list[nn.Dropout] | list[StochasticDepth]]:
        """The modules that hold each rate, by hyperparameter."""
        depths = [m for m in self.modules() if isinstance(m, StochasticDepth)]
        return {"dropout": [self.dropout], "stochastic_depth": depths}
