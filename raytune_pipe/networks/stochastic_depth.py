"""Stochastic depth: residual branches that are left out at random (arXiv:1603.09382)."""

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Drops the branch of a residual block for some samples, in training (Huang et al. 2016).

    For each sample by itself, so that every weight has a gradient in every step, and what is left
    is scaled up, so that evaluation takes the branch as it is; the paper drops it for the whole
    batch, and scales down in evaluation.
    """

    def __init__(self, p: float, share: float) -> None:
        """``p`` is the rate of the last block; ``share`` is this block's part of it."""
        super().__init__()
        self.p = p
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """[n, ...] -> [n, ...]."""
        rate = self.p * self.share
        if not self.training or rate == 0.0:
            return branch
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        kept = torch.empty(shape, dtype=branch.dtype, device=branch.device).bernoulli_(1.0 - rate)
        return branch * kept.div_(1.0 - rate)

    def extra_repr(self) -> str:
        """The rate and its part, for the printed model."""
        return f"p={self.p}, share={self.share:g}"
