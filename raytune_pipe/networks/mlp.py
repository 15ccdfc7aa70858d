"""Fully connected network."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class Mlp(nn.Module):
    """Dense layers with an activation and dropout after each, and a linear output."""

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        activation: Callable[[], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for width_in, width_out in zip([inputs, *widths[:-1]], widths, strict=True):
            layers += [nn.Linear(width_in, width_out), activation(), nn.Dropout(dropout)]
        layers.append(nn.Linear(widths[-1], outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, ...] -> [batch, outputs]."""
        outputs: Tensor = self.layers(inputs)
        return outputs
