"""Normalization of images between a convolution and its activation."""

from typing import Literal

from torch import nn

ImageNorm = Literal["none", "batch", "group"]

MOST_GROUPS = 32
"""As many as Wu and He (2018, arXiv:1803.08494) have."""
FEWEST_CHANNELS = 4
"""In a group: of one channel, a group norm would erase a map of one pixel."""


def image_norm(kind: ImageNorm, channels: int) -> nn.Module:
    """Module: [n, channels, h, w] -> the same shape."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(groups(channels), channels)
    return nn.Identity()


def groups(channels: int) -> int:
    """The most groups of equal size, 32 at most, that have four channels or more each."""
    most = max(1, min(MOST_GROUPS, channels // FEWEST_CHANNELS))
    return max(count for count in range(1, most + 1) if channels % count == 0)
