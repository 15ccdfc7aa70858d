"""Small transformer encoder (Vaswani et al. 2017, arXiv:1706.03762), the norms first.

Legend: n sequences of length t, width w.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

PositionKind = Literal["learned", "sinusoidal"]


class Layer(nn.Module):
    """Self-attention and a feed-forward net, each added to what it is given.

    The norms stand before both, so that training needs no warm-up (Xiong et al. 2020,
    arXiv:2002.04745). Dropout is on what is added; not on the attention's weights.
    """

    def __init__(
        self, width: int, heads: int, feed_forward: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), activation(), nn.Linear(feed_forward, width)
        )
        self.dropout = nn.Dropout(0.0)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """[n, t, w] -> [n, t, w]; a mask [t, t] is that of a causal net."""
        normed = self.norm1(hidden)
        attended, _ = self.attention(
            normed, normed, normed, attn_mask=mask, is_causal=mask is not None, need_weights=False
        )
        hidden = hidden + self.dropout(attended)
        added: Tensor = self.dropout(self.feed_forward(self.norm2(hidden)))
        return hidden + added


class SinusoidalPositions(nn.Module):
    """Sines and cosines of lengths from 2 pi to 20,000 pi positions, as in the paper."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        angles = torch.arange(length)[:, None] * rates
        table = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
        self.register_buffer("table", table, persistent=False)  # follows from the shape alone

    def forward(self, positions: Tensor) -> Tensor:
        """[t] -> [t, w]."""
        return self.get_buffer("table")[positions]


class Transformer(nn.Module):
    """Layers over a sequence, and a linear output: at each position, or of the positions' mean."""

    def __init__(
        self,
        inputs: nn.Module,
        length: int,
        layers: list[Layer],
        width: int,
        outputs: int,
        *,
        positions: PositionKind = "learned",
        causal: bool = False,
    ) -> None:
        """``inputs`` makes [n, t, w] of what the network is given.

        One that is causal sees no later position, and gives outputs at each.
        """
        super().__init__()
        self.inputs = inputs
        make = nn.Embedding if positions == "learned" else SinusoidalPositions
        self.positions = make(length, width)
        self.input_dropout = nn.Dropout(0.0)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.causal = causal

    def forward(self, sequences: Tensor) -> Tensor:
        """[n, t] or [n, t, features] -> [n, outputs, t] of a causal net, else [n, outputs]."""
        length = sequences.shape[1]
        places = self.positions(torch.arange(length, device=sequences.device))
        hidden = self.input_dropout(self.inputs(sequences) + places)
        mask = _later(length, sequences.device) if self.causal else None
        for layer in self.layers:
            hidden = layer(hidden, mask)
        hidden = self.norm(hidden)
        outputs: Tensor = self.head(hidden if self.causal else hidden.mean(1))
        return outputs.transpose(1, 2) if self.causal else outputs

    def rate_holders(self) -> dict[str, list[nn.Dropout]]:
        """The modules that hold each rate, by hyperparameter."""
        each = [layer.dropout for layer in self.layers if isinstance(layer, Layer)]
        return {"input_dropout": [self.input_dropout], "dropout": each}


def _later(length: int, device: torch.device) -> Tensor:
    """True where a position (row) must not see another (column), bool [t, t]."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu_(1)
