"""Batch norm over a batch that several processes share (Ioffe & Szegedy 2015, arXiv:1502.03167).

`torch.nn.SyncBatchNorm` refuses tensors on the CPU. Legend: c channels, r ranks.
"""

from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Saved(Protocol):
    """What the backward pass needs of the forward pass."""

    saved_tensors: tuple[Tensor, ...]
    counts: bool
    eps: float


class SynchronizedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Normalizes by mean and variance of the samples of all ranks together.

    State and its names are those of `torch.nn.BatchNorm2d`. With equal state it gives, to float
    tolerance, what that gives on the whole batch, and the same state after it. In evaluation mode
    nothing is synchronized: there the running statistics serve.
    """

    counts = True
    """Whether the samples of this rank count; if not, they are normalized by those that do."""

    def forward(self, input: Tensor) -> Tensor:
        """[n, c, ...] -> [n, c, ...]; raises ValueError where a channel has one value in all."""
        if not self.training:
            return functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=self.running_mean is None,
                eps=self.eps,
            )
        mean, variance, count = self._statistics(input.detach())
        self._track(mean, variance, count)
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        normalized: Tensor = _Normalize.apply(  # type: ignore[no-untyped-call]  # torch has no type
            input, weight, bias, mean, variance, count, self.counts, self.eps
        )
        return normalized

    def _statistics(self, input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean [c] and variance [c] over all ranks, and how many values a channel has [1].

        Merged from each rank's own, as the sum of squares less the squared sum loses digits.
        """
        values = input.numel() // input.shape[1]
        dims = [dim for dim in range(input.ndim) if dim != 1]
        variance, mean = torch.var_mean(_precise(input), dims, correction=0)
        own = torch.cat([mean, variance, mean.new_full((1,), values if self.counts else 0)])
        # A sum of rows that are zero elsewhere: gathering, which not every backend can on a GPU.
        rows = own.new_zeros(dist.get_world_size(), len(own))
        rows[dist.get_rank()] = own
        dist.all_reduce(rows)
        means, variances, counts = torch.split(rows, [len(mean), len(mean), 1], dim=1)
        count = counts.sum(dim=0)
        if values <= 1 and count.item() <= 1:  # asked seldom, since it waits for the device
            raise ValueError(
                "batch norm must have more than one value per channel to train on, but the whole"
                f" batch has one: {list(input.shape)}; choose a larger batch_size"
            )
        shares = counts / count
        mean = (shares * means).sum(dim=0)
        variance = (shares * (variances + (means - mean).square())).sum(dim=0)
        return mean, variance, count

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics, if there are any, towards the batch's, variance unbiased."""
        if self.running_mean is None or self.running_var is None:
            return
        step = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            step = 1.0 / float(self.num_batches_tracked) if step is None else step
        self.running_mean.lerp_(mean.to(self.running_mean), step or 0.0)
        unbiased = variance * (count / (count - 1))
        self.running_var.lerp_(unbiased.to(self.running_var), step or 0.0)

    def _check_input_dim(self, input: Tensor) -> None:
        """Every number of dimensions from two on will do."""


class _Normalize(torch.autograd.Function):
    """(input - mean) / sqrt(variance + eps) * weight + bias, mean and variance of all ranks.

    Its gradient is that of the sum of all ranks' losses; of weight and bias, this rank's part.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        """Arguments: input, weight, bias, mean, variance, count, counts, eps."""
        inputs, weight, bias, mean, variance, count, counts, eps = arguments
        ctx.save_for_backward(inputs, weight, mean, variance, count)
        ctx.counts, ctx.eps = counts, eps
        return functional.batch_norm(inputs, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By the formula of the plain one, its two sums taken over all ranks."""
        saved = cast("_Saved", ctx)
        inputs, weight, mean, variance, count = saved.saved_tensors
        # As if mean and variance were constants: `False` is for training.
        statistics, wanted = (mean, variance, None, None), [True, True, True]
        grad, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], inputs, weight, *statistics, False, saved.eps, wanted
        )
        sums = torch.stack([grad_weight, grad_bias])
        dist.all_reduce(sums)
        if saved.counts:  # else mean and variance do not depend on these samples
            by_weight, by_bias = sums / count
            inverse = (variance + saved.eps).rsqrt()
            slope = weight * inverse * inverse * by_weight
            shape = [1, -1] + [1] * (inputs.ndim - 2)
            constant = (weight * inverse * by_bias - slope * mean).view(shape)
            grad = grad - torch.addcmul(constant, _precise(inputs), slope.view(shape)).to(grad)
        return grad, grad_weight, grad_bias, *(None,) * 5


def _precise(values: Tensor) -> Tensor:
    """The values in float32 where they have fewer digits."""
    return values.float() if values.itemsize < 4 else values


def synchronize_batch_norms(model: nn.Module) -> nn.Module:
    """Replace every plain batch norm in the model, which may be one itself; its state is kept.

    A user's own subclass stays as it is: what it does differently is not known here.
    """
    replaced: dict[nn.Module, SynchronizedBatchNorm] = {}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # a child of two names under both
            if child is not None and type(child) in PLAIN:
                if child not in replaced:
                    replaced[child] = _synchronized(cast("nn.BatchNorm2d", child))
                setattr(parent, name, replaced[child])
    return _synchronized(model) if type(model) in PLAIN else model  # type: ignore[arg-type]  # one of PLAIN


def _synchronized(plain: nn.BatchNorm2d) -> SynchronizedBatchNorm:
    norm = SynchronizedBatchNorm(
        plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats
    )
    norm.weight, norm.bias = plain.weight, plain.bias
    for name, buffer in plain.named_buffers(recurse=False):
        setattr(norm, name, buffer)
    return norm.train(plain.training)
