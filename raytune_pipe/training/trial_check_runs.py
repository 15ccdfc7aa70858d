"""Short runs of a trial for its checks: fresh networks on its own data, trained a few steps."""

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from raytune_pipe.base import Component
from raytune_pipe.components.augmentations import Augmentations
from raytune_pipe.components.schedules_progress import Factors
from raytune_pipe.components.task import Data, Split
from raytune_pipe.training.data import epoch_batches
from raytune_pipe.training.gradients import autocast
from raytune_pipe.training.seeding import seeded_generator
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial, is_mutable

REGULARIZING = ("weight_decay", "label_smoothing")
"""Mutable fields of optimizers and losses that hold a training loss above what it could be."""


class Place(NamedTuple):
    """Where the short runs train."""

    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Subject:
    """The trial that is checked, with its data on the device."""

    trial: Trial
    data: Data
    place: Place
    is_regularized: bool = True

    def run(self) -> "ShortRun":
        """A fresh network, trained as the trial says."""
        return ShortRun(self)

    def unregularized(self) -> "Subject":
        """The same without anything that keeps the training loss up."""
        trial = without_regularization(self.trial)
        return replace(self, trial=trial, is_regularized=False)

    def seeded(self, seed: int) -> "Subject":
        """The same with other initial weights."""
        return replace(self, trial=self.trial.model_copy(update={"seed": seed}))

    def on(self, train: Split) -> "Subject":
        """The same, trained on these samples."""
        return replace(self, data=replace(self.data, train=train))


def without_regularization(trial: Trial) -> Trial:
    """The trial without dropout, weight decay, penalties, constraints, augmentation, smoothing.

    Gradient clipping stays, since it changes how a network learns and not what it can.
    """
    kept = {
        name: member
        for name, member in trial.regularizers
        if hasattr(member, "after_backward") and not hasattr(member, "weight")  # a penalty's
    }
    model = {
        name: value for name, value in trial.model if is_mutable(trial, f"model.{name}")
    }  # all that may change in a network while it trains is a rate of dropping some of it
    return trial.model_copy(
        update={
            "model": trial.model.model_copy(update={k: _zero(v) for k, v in model.items()}),
            "optimizer": _without(trial.optimizer),
            "loss": _without(trial.loss),
            "regularizers": type(trial.regularizers)(**kept),
            "augmentations": Augmentations(),
        }
    )


def absolute_rates(trial: Trial) -> tuple[float, ...]:
    """The learning rates of a schedule that gives absolute ones, warmed up or not; else none."""
    schedule = trial.schedule
    while schedule.kind == "warmup":
        schedule = schedule.then
    return tuple((schedule.rates or {}).values()) if schedule.kind == "piecewise" else ()


def at_scheduled_rate(trial: Trial) -> Trial:
    """The trial with the highest of its schedule's absolute rates, if there are any, as its own."""
    optimizer = trial.optimizer
    rate = max(absolute_rates(trial), default=optimizer.lr)
    return trial.model_copy(update={"optimizer": optimizer.model_copy(update={"lr": rate})})


def _without(component: Component) -> Component:
    """The component with its regularizing rates at zero, those of parts of it as well."""
    changed: dict[str, object] = {}
    for name, value in component:
        if name in REGULARIZING and value is not None:
            changed[name] = _zero(value)
        elif isinstance(value, Component):
            changed[name] = _without(value)
        elif isinstance(value, dict):
            changed[name] = {
                key: _without(part) if isinstance(part, Component) else part
                for key, part in value.items()
            }
    return component.model_copy(update=changed)


def _zero(rates: object) -> object:
    return (0.0,) * len(rates) if isinstance(rates, tuple) else 0.0


class ShortRun:
    """A fresh network of a trial, trained step by step."""

    def __init__(self, subject: Subject) -> None:
        self.trial = subject.trial
        self.data = subject.data
        self._trainer = Trainer(
            subject.trial,
            device=subject.place.device,
            threads=subject.place.threads,
            data=subject.data,
        )
        self.model: nn.Module = self._trainer.model
        self.optimizer = self._trainer.optimizer
        self.trial.model.set_rates(self.model)
        self.trial.loss.set_rates(self._trainer.loss)
        if not subject.is_regularized:
            _drop_nothing(self.model)  # an imported network has rates that no field tells of
        self.step_seconds: list[float] = []
        self._steps = 0

    def batches(self) -> Iterator[Tensor]:
        """Indices of one batch after another, int64 [batch], epoch after epoch without end."""
        epoch = 0
        while True:
            yield from epoch_batches(
                self.data.train,
                self.trial.batch_size,
                self.trial.seed,
                epoch,
                skip_single=self._trainer.gradients.has_batch_norm,
            )
            epoch += 1

    def backward(self, batch: Tensor) -> float:
        """Leave the gradients of a batch in the model; its loss, penalties included."""
        self.model.train()
        self._trainer.gradients.begin_epoch(self._steps)
        self._trainer.gradients.compute(batch)
        return self._trainer.gradients.means()["train_loss"]

    def update(self, rate: float | None = None) -> None:
        """Take an optimizer step at a learning rate, at the trial's own where none is given."""
        base_rate = self.trial.optimizer.lr
        factors = Factors(lr=1.0 if rate is None else rate / base_rate)
        self.trial.optimizer.set_rates(self.optimizer, factors)
        self._trainer.update()
        self._steps += 1

    def step(self, batch: Tensor, rate: float | None = None) -> float:
        """Train on a batch; its loss before the update."""
        started = time.perf_counter()
        loss = self.backward(batch)
        self.update(rate)
        self.step_seconds.append(time.perf_counter() - started)
        return loss

    def outputs(self, inputs: Tensor) -> Tensor:
        """Outputs as in training, without gradients, float32 [samples, ...].

        Batch norms go by each batch, since their running averages are not there yet.
        """
        self.model.train()
        parts = max(1, len(inputs) // max(2, self.trial.batch_size))
        with torch.no_grad(), autocast(self.trial, inputs.device):
            return torch.cat([self.model(part) for part in inputs.tensor_split(parts)]).float()

    def plain_loss(self, split: Split) -> float:
        """The task's plain loss of `outputs`."""
        return self.data.task.plain_loss(self.outputs(split.inputs), split.targets).item()

    @property
    def step_s(self) -> float:
        """Seconds of a usual step."""
        return statistics.median(self.step_seconds)


def _drop_nothing(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase):
            module.dropout = 0.0


def shuffled(split: Split, *key: int | str) -> Split:
    """The split in an order given by the key alone."""
    order = torch.randperm(len(split.inputs), generator=seeded_generator(*key))
    rows = order.to(split.inputs.device)
    return Split(split.inputs[rows], split.targets[rows])


def drawn(split: Split, samples: int, *key: int | str) -> Split:
    """So many samples of the split at most, drawn by the key alone."""
    order = torch.randperm(len(split.inputs), generator=seeded_generator(*key))[:samples]
    rows = order.sort().values.to(split.inputs.device)
    return Split(split.inputs[rows], split.targets[rows])


@contextmanager
def untouched() -> Iterator[None]:
    """Leave generators, threads and the treatment of denormal numbers as they were."""
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    denormal = torch.full((1,), 1e-310, dtype=torch.float64)
    flushed = not (denormal * 1.0).any()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
