"""Plain convolutional network for images.

Legend: n images, c channels, h and w pixels.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from raytune_pipe.networks.norms import ImageNorm, image_norm

Pooling = Literal["max", "average", "none"]


class Cnn(nn.Module):
    """Convolutions, the mean over all pixels (Lin et al. 2014, arXiv:1312.4400), a linear output.

    After each convolution: norm, activation, pooling, dropout of whole channels.
    """

    def __init__(
        self,
        channels: int,
        filters: Sequence[int],
        kernels: Sequence[tuple[int, int]],
        outputs: int,
        activation: Callable[[], nn.Module],
        pooling: Pooling = "max",
        norm: ImageNorm = "batch",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = [channels, *filters[:-1]]
        for channels_in, channels_out, (h, w) in zip(before, filters, kernels, strict=True):
            layers += [
                nn.Conv2d(
                    channels_in,
                    channels_out,
                    (h, w),
                    padding=(h // 2, w // 2),
                    bias=norm == "none",  # else the norm has one
                ),
                image_norm(norm, channels_out),
                activation(),
                _pooling(pooling),
                nn.Dropout2d(0.0),
            ]
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(filters[-1], outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stubs lack it

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] -> [n, outputs]."""
        hidden = self.layers(images.contiguous(memory_format=torch.channels_last))
        outputs: Tensor = self.head(self.dropout(hidden.mean((2, 3))))
        return outputs

    def rate_holders(self) -> dict[str, list[nn.Dropout] | list[nn.Dropout2d]]:
        """The modules that hold each rate, by hyperparameter."""
        spatial = [module for module in self.layers if isinstance(module, nn.Dropout2d)]
        return {"spatial_dropout": spatial, "dropout": [self.dropout]}


def _pooling(kind: Pooling) -> nn.Module:
    """Halves the image; an odd row or column is pooled by itself, so that one pixel stays one."""
    if kind == "max":
        return nn.MaxPool2d(2, ceil_mode=True)
    if kind == "average":
        return nn.AvgPool2d(2, ceil_mode=True)
    return nn.Identity()
