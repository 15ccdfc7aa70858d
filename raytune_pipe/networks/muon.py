"""The optimizer Muon for matrices, and AdamW for the rest, as one."""

from typing import Any

import torch
from torch import nn, optim


class MuonAndAdamW(optim.Optimizer):
    """`torch.optim.Muon` on some groups and `torch.optim.AdamW` on the others, fused.

    There is one state and one list of groups, so it is saved, loaded and given its rates like any
    other optimizer.
    """

    def __init__(
        self,
        matrices: list[dict[str, Any]],
        rest: list[dict[str, Any]],
        lr: float,
        momentum: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        self._parts: list[optim.Optimizer] = []
        if matrices:
            muon = optim.Muon(
                matrices,
                lr=lr,
                momentum=momentum,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",  # steps of the size of AdamW's (arXiv:2502.16982)
            )
            self._parts.append(muon)
        if rest:
            adamw = optim.AdamW(rest, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
            self._parts.append(adamw)
        self._sizes = [len(part.param_groups) for part in self._parts]
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no step here needs one
        """Update every parameter that has a gradient."""
        first = 0
        for part, size in zip(self._parts, self._sizes, strict=True):
            part.param_groups = self.param_groups[first : first + size]
            part.state = self.state  # loading a state replaces both
            part.step()
            first += size


def hidden_matrices(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of two dimensions, but for embeddings and the output layer `head`; and the rest."""
    head = getattr(model, "head", None)
    others = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    kept_out = {weight for module in others for weight in module.parameters()}
    if isinstance(head, nn.Module):
        kept_out |= set(head.parameters())
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for weight in model.parameters():
        parts[weight.ndim == 2 and weight not in kept_out].append(weight)
    return parts[True], parts[False]
