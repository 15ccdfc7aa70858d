"""Recurrent network: plain (Elman 1990), LSTM or GRU layers over a sequence.

Legend: n sequences of length t.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Cell = Literal["rnn", "lstm", "gru"]
CELLS: dict[Cell, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """Layers of one kind of cell, and a linear output: at each position, or of the last state.

    Dropout is on what a layer is given and what it gives, never on the state that it carries from
    position to position (Zaremba et al. 2014, arXiv:1409.2329).
    """

    def __init__(
        self,
        cell: Cell,
        inputs: nn.Module,
        input_width: int,
        hidden_size: int,
        layers: int,
        outputs: int,
        *,
        bidirectional: bool = False,
        at_each_position: bool = False,
    ) -> None:
        """``inputs`` makes [n, t, input_width] of what the network is given."""
        super().__init__()
        self.inputs = inputs
        self.input_dropout = nn.Dropout(0.0)
        width = 2 * hidden_size if bidirectional else hidden_size
        # layer by layer, since dropout within torch's own stack has one rate for all
        self.layers = nn.ModuleList(
            CELLS[cell](before, hidden_size, batch_first=True, bidirectional=bidirectional)
            for before in [input_width, *[width] * (layers - 1)]
        )
        self.dropouts = nn.ModuleList(nn.Dropout(0.0) for _ in range(layers))
        self.head = nn.Linear(width, outputs)
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.at_each_position = at_each_position

    def forward(self, sequences: Tensor) -> Tensor:
        """[n, t] or [n, t, features] -> [n, outputs, t] at each position, else [n, outputs]."""
        hidden: Tensor = self.input_dropout(self.inputs(sequences))
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            hidden = dropout(layer(hidden)[0])
        if self.at_each_position:
            return self.head(hidden).transpose(1, 2)  # type: ignore[no-any-return]  # a module's
        outputs: Tensor = self.head(self._last_state(hidden))
        return outputs

    def rate_holders(self) -> dict[str, list[nn.Dropout]]:
        """The modules that hold each rate, by hyperparameter."""
        each = [module for module in self.dropouts if isinstance(module, nn.Dropout)]
        return {"input_dropout": [self.input_dropout], "dropout": each}

    def _last_state(self, hidden: Tensor) -> Tensor:
        """[n, t, width] -> [n, width]; the backward direction ends at the first position."""
        if not self.bidirectional:
            return hidden[:, -1]
        forward, backward = torch.split(hidden, self.hidden_size, dim=2)
        return torch.cat([forward[:, -1], backward[:, 0]], dim=1)
