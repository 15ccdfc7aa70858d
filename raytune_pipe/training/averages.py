"""The running average of a model's weights, by which it is evaluated."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverages:
    """A copy of a model whose weights follow the model's slowly."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        """With the averages as its weights, and the model's own buffers."""

    def update(self, model: nn.Module, decay: float, step: int) -> None:
        """Take the weights after an optimizer step into account.

        The first steps count more, so that the initial weights are soon forgotten:
        min(decay, (1 + step) / (10 + step)).

        Args:
            model: The one that is trained.
            decay: Share of the averages that stays.
            step: Optimizer steps so far, this one included.
        """
        weight = 1.0 - min(decay, (1 + step) / (10 + step))
        own = [average.data for average in self.model.parameters()]
        torch._foreach_lerp_(own, [p.detach() for p in model.parameters()], weight)

    def follow(self, model: nn.Module) -> nn.Module:
        """The copy, ready to be evaluated."""
        for own, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(buffer)
        return self.model

    def state(self) -> dict[str, Tensor]:
        """The averages by the weight's name; one that has two is under both, as in a state."""
        named = self.model.named_parameters(remove_duplicate=False)
        return {name: average.detach() for name, average in named}

    def load(self, averages: Mapping[str, Tensor] | None, model: nn.Module) -> None:
        """Go on from saved averages; without any from the model's weights."""
        weights = dict(model.named_parameters())
        for name, average in self.model.named_parameters():
            average.data.copy_((averages or weights)[name].detach())
