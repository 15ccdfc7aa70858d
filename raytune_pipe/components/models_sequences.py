"""Models of sequences: recurrent layers, a transformer encoder.

On token indices both predict the next token at each position, and see none after it.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import model_validator

from raytune_pipe.base import MUTABLE, Component, ConfigError, Count, Fraction, Value
from raytune_pipe.components.activations import Activation, activation_type
from raytune_pipe.components.models_rates import Rates, rates_in_force, require_one_each, set_rates
from raytune_pipe.components.task import Task

if TYPE_CHECKING:
    from torch import nn


class Recurrent(Component):
    """Recurrent network: plain, LSTM (Hochreiter and Schmidhuber 1997) or GRU.

    (Cho et al. 2014, arXiv:1406.1078.)
    """

    kind: Literal["recurrent"] = "recurrent"
    """Name of the model."""
    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """What a layer is made of; rnn is the plain one, with tanh."""
    embedding_size: Count = 64
    """Numbers that stand for a token; sequences of numbers are taken as they are."""
    hidden_size: Count = 128
    """Units of each layer, and in each direction."""
    layers: Count = 2
    """Recurrent layers, one on top of the other."""
    bidirectional: bool = False
    """Whether each layer also goes from the end to the start; refused where the next token is
    predicted."""
    input_dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the inputs to the first layer that is dropped in training, after the embedding."""
    dropout: Annotated[Rates, MUTABLE] = 0.0
    """Share of each layer's outputs that is dropped in training, never of its state; one for all,
    or a list (Zaremba et al. 2014, arXiv:1409.2329)."""

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        require_one_each("dropout", self.dropout, self.layers)
        return self

    def build(self, task: Task) -> "nn.Module":
        """Module: token indices [batch, length] -> [batch, tokens, length].

        Or sequences of numbers [batch, length, features] -> [batch, outputs], from the last state.
        Raises ConfigError on anything else, and where it would look ahead.
        """
        from torch import nn

        from raytune_pipe.networks import recurrent

        if task.tokens is not None and self.bidirectional:
            raise ConfigError(
                "model.bidirectional must be false where the next token is predicted, as the"
                " backward direction would see it, but got true; set it to false"
            )
        inputs: nn.Module
        if task.tokens is None:
            inputs, width = nn.Identity(), _features(self.kind, task)
        else:
            inputs, width = nn.Embedding(task.tokens, self.embedding_size), self.embedding_size
        network = recurrent.Recurrent(
            self.cell,
            inputs,
            width,
            self.hidden_size,
            self.layers,
            task.outputs,
            bidirectional=self.bidirectional,
            at_each_position=task.tokens is not None,
        )
        self.set_rates(network)
        return network

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout on the live module."""
        set_rates(self, module)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return rates_in_force(self, module)


class Transformer(Component):
    """Small transformer encoder (Vaswani et al. 2017, arXiv:1706.03762), its norms first."""

    kind: Literal["transformer"] = "transformer"
    """Name of the model."""
    width: Count = 64
    """Numbers that stand for a position, in all layers."""
    heads: Count = 4
    """Attention heads of each layer; they share the width evenly."""
    layers: Count = 2
    """Layers of attention and a feed-forward net each."""
    feed_forward_multiple: Count = 4
    """Hidden units of the feed-forward net, in widths."""
    activation: Activation = "gelu"
    """Within the feed-forward net."""
    positions: Literal["learned", "sinusoidal"] = "learned"
    """How a position is told from another: by a vector of its own, or by waves."""
    input_dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the inputs to the first layer that is dropped in training, positions included."""
    dropout: Annotated[Rates, MUTABLE] = 0.0
    """Share of what attention and feed-forward net of each layer add that is dropped in training;
    one for all, or a list."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, but got width {self.width} and heads"
                f" {self.heads}"
            )
        require_one_each("dropout", self.dropout, self.layers)
        return self

    def build(self, task: Task) -> "nn.Module":
        """Module: token indices [batch, length] -> [batch, tokens, length].

        Or sequences of numbers [batch, length, features] -> [batch, outputs], from the mean over
        the positions. Raises ConfigError on anything else.
        """
        from torch import nn

        from raytune_pipe.networks import transformer

        inputs: nn.Module
        if task.tokens is None:
            inputs = nn.Linear(_features(self.kind, task), self.width)
        else:
            inputs = nn.Embedding(task.tokens, self.width)
        hidden, activation = (
            self.width * self.feed_forward_multiple,
            activation_type(self.activation),
        )
        network = transformer.Transformer(
            inputs,
            task.input_shape[0],
            [
                transformer.Layer(self.width, self.heads, hidden, activation)
                for _ in range(self.layers)
            ],
            self.width,
            task.outputs,
            positions=self.positions,
            causal=task.tokens is not None,
        )
        self.set_rates(network)
        return network

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout on the live module."""
        set_rates(self, module)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return rates_in_force(self, module)


def _features(kind: str, task: Task) -> int:
    """Numbers at each position of a sequence; raises ConfigError where there is none."""
    if len(task.input_shape) != 2:
        raise ConfigError(
            f"model {kind} must have sequences, [length] of token indices or [length, features] of"
            f" numbers, but the dataset's samples have the shape {list(task.input_shape)}; choose"
            " another model, or reshape them"
        )
    return task.input_shape[1]
