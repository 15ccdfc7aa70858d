"""Fully connected network."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

TableNorm = Literal["none", "batch", "layer"]
NORMS = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class Mlp(nn.Module):
    """Dense layers, each with a norm, an activation and dropout after it, and a linear output."""

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        outputs: int,
        activation: Callable[[], nn.Module],
        norm: TableNorm = "none",
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.input_dropout = nn.Dropout(0.0)
        layers: list[nn.Module] = []
        for width_in, width_out in zip([inputs, *widths[:-1]], widths, strict=True):
            dense = nn.Linear(width_in, width_out, bias=norm == "none")  # else the norm has one
            layers += [dense, NORMS[norm](width_out), activation(), nn.Dropout(0.0)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, ...] -> [batch, outputs]."""
        outputs: Tensor = self.head(self.layers(self.input_dropout(self.flatten(inputs))))
        return outputs

    def rate_holders(self) -> dict[str, list[nn.Dropout]]:
        """The modules that hold each rate, by hyperparameter."""
        hidden = [module for module in self.layers if isinstance(module, nn.Dropout)]
        return {"input_dropout": [self.input_dropout], "dropout": hidden}
