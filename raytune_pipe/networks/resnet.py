"""Residual network for small images (He et al. 2016, arXiv:1512.03385, section 4.2).

Legend: n images, c channels, h and w pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions, and a shortcut without parameters."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels_out, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = _conv3x3(channels_out, channels_out)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.added_channels = channels_out - channels_in

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, c_out, h / stride, w / stride]."""
        hidden = functional.relu(self.norm1(self.conv1(inputs)), inplace=True)
        hidden = self.norm2(self.conv2(hidden))
        return functional.relu(hidden + self._shortcut(inputs), inplace=True)

    def _shortcut(self, inputs: Tensor) -> Tensor:
        """The paper's option A: every stride-th pixel, new channels filled with zeros."""
        if self.stride > 1:
            inputs = inputs[:, :, :: self.stride, :: self.stride]
        if self.added_channels:
            inputs = functional.pad(inputs, (0, 0, 0, 0, 0, self.added_channels))
        return inputs


class Resnet(nn.Module):
    """Three stages of n blocks, 6n + 2 layers deep; the width doubles as the image halves.

    Dropout sits before the classifier only: before a batch norm it would shift the variance
    between training and evaluation (Li et al. 2019, arXiv:1801.05134).
    """

    def __init__(self, channels: int, depth: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.conv = _conv3x3(channels, width)
        self.norm = nn.BatchNorm2d(width)
        blocks = []
        channels_in = width
        for stage, channels_out in enumerate((width, 2 * width, 4 * width)):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(channels_in, channels_out, stride))
                channels_in = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels_in, outputs)
        # on a CPU core a step is 1.35 times as fast at 32 x 32 pixels, and as fast at 8 x 8
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] -> [n, outputs]."""
        images = images.contiguous(memory_format=torch.channels_last)
        hidden = functional.relu(self.norm(self.conv(images)), inplace=True)
        pooled = self.blocks(hidden).mean((2, 3))
        outputs: Tensor = self.classifier(self.dropout(pooled))
        return outputs


def _conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
