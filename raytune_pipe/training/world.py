"""A trial on several workers: each trains on its share of every batch, and all stay equal.

Losses and weights then equal those of one worker to float tolerance, but for dropout and other
random numbers drawn in the forward pass: each rank draws its own.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from raytune_pipe.networks.synchronized_batch_norm import (
    SynchronizedBatchNorm,
    synchronize_batch_norms,
)


class Share(NamedTuple):
    """What one rank has of a batch."""

    samples: Tensor
    """Their indices, int64 [samples]; never empty, since many modules cannot take that."""
    counted: int
    """How many of them count: all, or none where this rank had to borrow its only one."""
    weight: float
    """Of the mean loss of its samples: the mean of all ranks' is then the mean of the batch."""


@dataclass(frozen=True)
class World:
    """Rank ``rank`` of the ``size`` that train one trial together; by default, one that is alone.

    Alone, everything here returns what it is given. Else all ranks must call the same in the same
    order, within a process group (`process_group.join`).
    """

    rank: int = 0
    size: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether one worker trains the whole trial."""
        return self.size == 1

    @property
    def seed_key(self) -> tuple[int | str, ...]:
        """Tells the random numbers of the ranks apart; rank 0 draws those of one that is alone."""
        return ("rank", self.rank) if self.rank else ()

    def share(self, batch: Tensor) -> Share:
        """Part of a batch [samples] that this rank trains on, near as large as the others'."""
        if self.is_alone:
            return Share(batch, len(batch), 1.0)
        samples = torch.tensor_split(batch, self.size)[self.rank]
        counted = len(samples)
        return Share(samples if counted else batch[:1], counted, counted * self.size / len(batch))

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model, with its batch norms over the whole batch."""
        return model if self.is_alone else synchronize_batch_norms(model)

    def parallel(self, model: nn.Module, *, may_skip_weights: bool) -> nn.Module:
        """What to call in training: the gradients are then averaged over all ranks.

        Args:
            model: Equal on all ranks, on its device.
            may_skip_weights: Whether a forward pass may leave some of its parameters out.
        """
        if self.is_alone:
            return model
        parallel = nn.parallel.DistributedDataParallel(
            model, find_unused_parameters=may_skip_weights
        )
        parallel.broadcast_buffers = False  # as an argument it goes by two names, by version
        return parallel

    def averaging(self, parallel: nn.Module, *, now: bool) -> AbstractContextManager[object]:
        """Around a forward and a backward pass: gradients add up, and ``now`` they are averaged."""
        if self.is_alone or now:
            return nullcontext()
        no_sync: AbstractContextManager[object] = parallel.no_sync()  # type: ignore[operator]  # DDP's
        return no_sync

    def backward(
        self,
        loss: Tensor,
        penalties: Sequence[Tensor],
        weights: Sequence[Tensor],
        weight: float,
    ) -> None:
        """Add to the gradients those of this rank's loss, times its weight, and of penalties.

        Args:
            loss: Mean over some samples, through the model that `parallel` gave.
            penalties: Scalars of the weights alone, equal on all ranks.
            weights: Those of the model.
            weight: Of these samples in the share, times that of the share in the batch.
        """
        if weight != 1.0:
            loss = loss * weight
        if self.is_alone:
            for penalty in penalties:
                loss = loss + penalty
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            return
        loss.backward()  # type: ignore[no-untyped-call]  # as above
        for penalty in penalties:
            _add_gradients(penalty, weights)

    def total(self, value: Tensor) -> Tensor:
        """The sum over all ranks, on each of them."""
        if not self.is_alone:
            dist.all_reduce(value)
        return value

    def agreed(self, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics of rank 0, so that schedules, stop rules and decisions are one."""
        if self.is_alone:
            return metrics
        values = torch.tensor(list(metrics.values()), dtype=torch.float64)
        dist.broadcast(values, src=0)
        return dict(zip(metrics, values.tolist(), strict=True))

    def rows(self, inputs: Tensor) -> Tensor:
        """Part of the rows that is this rank's, in order; the last ones are padded to equal length.

        `gathered` puts together what became of them.
        """
        if self.is_alone:
            return inputs
        length = -(-len(inputs) // self.size)
        rows = torch.arange(self.rank * length, (self.rank + 1) * length, device=inputs.device)
        return inputs.index_select(0, rows.clamp(max=len(inputs) - 1))

    def gathered(self, outputs: Tensor, length: int) -> Tensor | None:
        """The outputs of all ranks' rows [length, ...] on rank 0; None on the others."""
        if self.is_alone:
            return outputs
        own = outputs.cpu().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)] if self.rank == 0 else None
        dist.gather(own, parts)
        return None if parts is None else torch.cat(parts)[:length].to(outputs.device)

    def align(self, model: nn.Module) -> None:
        """Set buffers to those of rank 0, whose checkpoint the trial goes on from.

        Those of batch norms are equal already; few models have any others.
        """
        if self.is_alone:
            return
        for module in model.modules():
            if not isinstance(module, SynchronizedBatchNorm):
                for buffer in module.buffers(recurse=False):
                    dist.broadcast(buffer, src=0)


def _add_gradients(penalty: Tensor, weights: Sequence[Tensor]) -> None:
    """Add a penalty's gradients to those that were averaged over the ranks.

    Past DDP's hooks: to them a weight that the model leaves out, and the penalty does not, would
    look like one that the model uses.
    """
    if not penalty.requires_grad:  # all weights that it is taken of are frozen
        return
    trained = [weight for weight in weights if weight.requires_grad]
    gradients = torch.autograd.grad(penalty, trained, allow_unused=True)
    for weight, gradient in zip(trained, gradients, strict=True):
        if gradient is not None:
            weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)


ALONE = World()
"""The one worker of a trial."""
