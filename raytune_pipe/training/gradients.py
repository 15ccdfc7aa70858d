"""The gradients of a batch: augmented, in micro-batches, penalties included."""

import random
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from raytune_pipe.base import ConfigError, seed_draw
from raytune_pipe.components.draws import Draws
from raytune_pipe.components.losses import require_outputs
from raytune_pipe.components.task import Batch, Data, Split
from raytune_pipe.networks.losses import CentreLoss
from raytune_pipe.networks.synchronized_batch_norm import SynchronizedBatchNorm
from raytune_pipe.training.world import Share, World
from raytune_pipe.trial import Trial

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, SynchronizedBatchNorm)


class BatchGradients:
    """Leaves the gradients of one batch after another in the model, and sums up the losses.

    Nothing here waits for the device: the sums are kept there.
    """

    def __init__(
        self, trial: Trial, data: Data, model: nn.Module, loss: nn.Module, world: World
    ) -> None:
        trial.augmentations.require_fit(data.task)
        self._trial = trial
        self._data = data
        self._model = model
        self._loss = loss
        self._world = world
        self._parallel = world.parallel(model, may_skip_weights=trial.model.kind == "imported")
        self._weights = list(model.parameters())
        self._augmentations = trial.augmentations.active()
        self._penalties = trial.regularizers.hooks("penalty")
        self._precision = autocast(trial, data.train.inputs.device)
        self._norms = [m for m in model.modules() if isinstance(m, SynchronizedBatchNorm)]
        self.has_batch_norm = any(isinstance(module, BATCH_NORMS) for module in model.modules())
        """Whether the model cannot take a batch of one sample, which has no variance."""
        self._features = _Features(model) if trial.loss.needs_features else None
        self._centres = loss if isinstance(loss, CentreLoss) else None
        self._look_at(data.train)

    def begin_epoch(self, epoch: int) -> None:
        """Set the sums to zero, and the draws to what this epoch's are."""
        device = self._data.train.inputs.device
        key = (self._trial.seed, "augment", epoch, *self._world.seed_key)
        self._draws = Draws(
            torch.Generator(device).manual_seed(seed_draw(*key)), random.Random(seed_draw(*key))
        )
        self._samples = 0
        self._loss_sum = torch.zeros((), device=device)
        self._penalty_sum = torch.zeros((), device=device)
        self._term_sums: dict[str, Tensor] = {}

    def compute(self, batch: Tensor) -> None:
        """Set the gradients of the weights to those of the batch, indices int64 [batch]."""
        for weight in self._weights:
            weight.grad = None  # as optimizer.zero_grad(), whose profiling takes 8 us a step
        share = self._world.share(batch)
        for norm in self._norms:
            norm.counts = share.counted > 0
        parts = self._augmented(share).split(self._parts(len(batch)))
        for number, part in enumerate(parts, start=1):
            fraction = len(part.targets) / len(share.samples)
            with self._world.averaging(self._parallel, now=number == len(parts)):
                loss = self._forward(part, share.counted * fraction)
                penalties = self._penalties_now() if number == len(parts) else []
                self._world.backward(loss, penalties, self._weights, share.weight * fraction)
        if self._centres:
            self._centres.move(self._world.total, counted=share.counted > 0)
        self._samples += len(batch)
        for penalty in penalties:
            self._penalty_sum.add_(penalty.detach(), alpha=len(batch))

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the loss's weighted terms; empty where it is one of its own."""
        return tuple(self._term_sums)

    def means(self) -> dict[str, float]:
        """``train_loss`` over the epoch's batches so far, and ``train_NAME`` of each of its terms.

        Waits until the device has finished.
        """
        sums = {"train_loss": self._loss_sum}
        sums |= {f"train_{name}": total for name, total in self._term_sums.items()}
        means = {
            name: self._world.total(total).item() / self._samples for name, total in sums.items()
        }
        means["train_loss"] += self._penalty_sum.item() / self._samples
        return means

    def _look_at(self, split: Split) -> None:
        """See what the model gives for two samples, in evaluation mode, which changes nothing."""
        was_training = self._model.training
        self._model.eval()
        with torch.no_grad():
            outputs = self._model(split.inputs[:2])
        self._model.train(was_training)
        require_outputs(self._trial.loss, self._data.task, outputs, split.targets[:2])
        if self._centres and self._features:
            self._centres.prepare(self._features.taken())

    def _augmented(self, share: Share) -> Batch:
        train = self._data.train
        batch = Batch(
            train.inputs.index_select(0, share.samples),
            train.targets.index_select(0, share.samples),
        )
        for augmentation in self._augmentations:
            batch = augmentation.apply(batch, self._draws)
        if batch.partners is not None and self._trial.loss.mixing == "targets":
            targets = torch.lerp(batch.partners, batch.targets, batch.own_share)
            return Batch(batch.inputs, targets)
        return batch

    def _parts(self, samples: int) -> int:
        """Micro-batches of a batch: the same on all workers, and none too small for its norms."""
        smallest = 2 if self.has_batch_norm else 1
        most = samples // self._world.size // smallest
        return max(1, min(self._trial.micro_batches, most))

    def _penalties_now(self) -> list[Tensor]:
        return [penalty(self._model) for penalty in self._penalties]

    def _forward(self, part: Batch, counted: float) -> Tensor:
        """The mean loss of a micro-batch."""
        with self._precision:
            outputs = self._parallel(part.inputs)
            loss, terms = self._loss_of(outputs, part.targets)
            if part.partners is not None:
                other, other_terms = self._loss_of(outputs, part.partners)
                loss = torch.lerp(other, loss, part.own_share)
                terms = {
                    name: torch.lerp(other_terms[name], term, part.own_share)
                    for name, term in terms.items()
                }
        self._loss_sum.add_(loss.detach(), alpha=counted)
        for name, term in terms.items():
            total = self._term_sums.setdefault(name, torch.zeros_like(self._loss_sum))
            total.add_(term, alpha=counted)
        return loss

    def _loss_of(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The mean loss, and its weighted terms where it has several."""
        features = (self._features.taken(),) if self._features else ()
        loss: Tensor = self._loss(outputs, targets, *features)
        return loss, getattr(self._loss, "terms", {})


class _Features:
    """What goes into a model's output layer, `head`."""

    def __init__(self, model: nn.Module) -> None:
        head = getattr(model, "head", None)
        if not isinstance(head, nn.Module):
            raise ConfigError(
                "trial.loss needs what goes into the output layer, so the model must have that"
                f" layer as its attribute head, but {type(model).__name__} has none; name it so, or"
                " choose another loss"
            )
        self._latest: Tensor | None = None
        head.register_forward_pre_hook(self._take)

    def _take(self, _head: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._latest = inputs[0]

    def taken(self) -> Tensor:
        """Of the latest forward pass, [batch, ...]."""
        if self._latest is None:
            raise ConfigError("the model must call its output layer, head, but has not")
        return self._latest


def autocast(trial: Trial, device: torch.device) -> AbstractContextManager[object]:
    """The number format of a trial's forward passes."""
    if trial.precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
