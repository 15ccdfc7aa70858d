"""The training loop: one trial, one device per worker, an epoch at a time."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from raytune_pipe.base import Value
from raytune_pipe.components.optimizers_groups import load_state, state_by_parameter
from raytune_pipe.components.schedules_progress import Factors, Progress
from raytune_pipe.components.task import Data
from raytune_pipe.results.events import WarningKind
from raytune_pipe.training.averages import WeightAverages
from raytune_pipe.training.checkpoints import (
    Checkpoint,
    check_fits,
    load_checkpoint,
    save_checkpoint,
)
from raytune_pipe.training.data import epoch_batches, load_data, to_device
from raytune_pipe.training.evaluation import (
    Part,
    check_metric_names,
    evaluate,
    metric_names,
)
from raytune_pipe.training.gradients import BatchGradients, autocast
from raytune_pipe.training.loss_terms import terms_apart
from raytune_pipe.training.probes import UpdateProbe
from raytune_pipe.training.seeding import seed_generators, seeded_generator
from raytune_pipe.training.trial_size import size_of
from raytune_pipe.training.world import ALONE, World
from raytune_pipe.trial import Trial, is_mutable, leaves


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training came to."""

    epoch: float
    """Passes over the data that the weights have seen."""
    step: int
    """Optimizer updates that the weights have seen."""
    metrics: dict[str, float]
    values_in_force: dict[str, Value]
    """Every mutable hyperparameter by dotted name, read back from the live objects."""
    verdict: str | None
    """Why a stop rule wants the trial to end; None to go on."""
    time_s: float
    """Seconds that went into the weights: a copy of a donor's begins with the donor's time."""
    warnings: dict[WarningKind, str] = field(default_factory=dict)
    """What the epoch gave cause for, by kind: one line each."""


class Trainer:
    """Trains one trial, or as one of several workers its share of one (`World`).

    Every mutable hyperparameter is set from the trial at the start of each epoch, and the
    optimizer's rates again before each step: base rate times the schedule's factor. Nothing of the
    kind ever comes from a checkpoint, so `Trainer(changed_trial).load(donors_checkpoint)` is
    all there is to an exploit.
    """

    def __init__(
        self,
        trial: Trial,
        *,
        device: str = "cpu",
        threads: int = 1,
        world: World = ALONE,
        data: Data | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)  # below 1e-38 some CPUs are many times slower
        self.trial = trial
        self.world = world
        self.device = torch.device(device)
        self.data = to_device(data or load_data(trial.dataset), self.device)
        check_metric_names(self.data.task)
        self.model = self._initial_model()
        self.loss = trial.loss.build(self.data.task).to(self.device)
        self.optimizer = trial.optimizer.build(self.model)
        self.gradients = BatchGradients(trial, self.data, self.model, self.loss, world)
        self._averaging = trial.regularizers.weight_averaging
        self._averages = WeightAverages(self.model) if self._averaging else None
        self._precision = autocast(trial, self.device)
        self._mutable = [path for path in leaves(trial) if is_mutable(trial, path)]
        self._after_backward = trial.regularizers.hooks("after_backward")
        self._after_step = trial.regularizers.hooks("after_step")
        self.epoch = 0
        self.step = 0
        self.scores: list[float] = []
        self.time_s = 0.0

    @property
    def done(self) -> bool:
        """Whether all planned epochs are trained."""
        return self.epoch >= self.trial.epochs

    def train_epoch(self) -> EpochReport:
        """Pass over the training part once, then evaluate on the validation part.

        A loss that is no longer finite raises nothing: metrics and verdict tell.
        """
        started = time.perf_counter()
        seed_generators(self.trial.seed, "epoch", self.epoch, *self.world.seed_key)
        metrics, values_in_force = self._train()
        self.epoch += 1
        metrics |= self._validate(metrics["train_loss"])
        metrics["epoch_s"] = time.perf_counter() - started
        self.time_s += metrics["epoch_s"]
        self.scores.append(metrics["val_loss"])
        return EpochReport(
            epoch=float(self.epoch),
            step=self.step,
            metrics=metrics,
            values_in_force=values_in_force,
            verdict=self.trial.stoppers.verdict(self.scores),
            time_s=self.time_s,
            warnings=self._warnings(metrics) if self.epoch == 1 else {},
        )

    def _warnings(self, metrics: Mapping[str, float]) -> dict[WarningKind, str]:
        """What the first epoch shows that most likely should not be."""
        found: dict[WarningKind, str] = {}
        if apart := terms_apart(metrics, self.gradients.terms):
            found["loss_terms_apart"] = apart
        size = size_of(self.model, self.data)
        if size.has_more_parameters:
            found["more_parameters_than_samples"] = size.warning
        return found

    def evaluate(self, part: Part) -> dict[str, float]:
        """Metrics of the current weights on a part of the data, the user's own among them."""
        split = self.data.validation if part == "validation" else self.data.test
        model = self._averages.follow(self.model) if self._averages else self.model
        with self._precision:
            return evaluate(model, split, self.data.task, part, self.world)

    def save(self, path: Path) -> str:
        """Write a checkpoint; returns its SHA-256 (hex)."""
        checkpoint = Checkpoint(
            weights=dict(self.model.state_dict()),
            optimizer=self.trial.optimizer.kind,
            buffers=state_by_parameter(self.optimizer, self.model),
            epoch=self.epoch,
            step=self.step,
            scores=self.scores,
            time_s=self.time_s,
            averages=self._averages.state() if self._averages else None,
            loss=self.loss.state_dict(),
        )
        return save_checkpoint(path, checkpoint)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint, under this trial's hyperparameters and in its own data order.

        Raises `TrialError`, and changes nothing, where the file is damaged or does not fit.
        """
        checkpoint = load_checkpoint(path, self.device)
        check_fits(checkpoint, self.model, self.loss, self.trial.optimizer.kind)
        self.model.load_state_dict(checkpoint.weights)
        self.loss.load_state_dict(checkpoint.loss)
        if self._averages:
            self._averages.load(checkpoint.averages, self.model)
        load_state(self.optimizer, self.model, checkpoint.buffers)
        self.epoch = checkpoint.epoch
        self.step = checkpoint.step
        self.scores = checkpoint.scores
        self.time_s = checkpoint.time_s

    def _initial_model(self) -> nn.Module:
        seed_generators(self.trial.seed, "model")
        model = self.trial.model.build(self.data.task)
        self.trial.initializer.apply(model, seeded_generator(self.trial.seed, "weights"))
        return self.world.prepared(model).to(self.device)

    def _train(self) -> tuple[dict[str, float], dict[str, Value]]:
        """One update per batch; its metrics, and the hyperparameters that were in force.

        Nothing in the loop waits for the device: the update is measured on the last step alone.
        """
        started = time.perf_counter()
        self.trial.model.set_rates(self.model)
        self.trial.loss.set_rates(self.loss)
        self.model.train()
        self.gradients.begin_epoch(self.epoch)
        batches = self._batches()
        for batch, factors in zip(batches, self._epoch_factors(len(batches)), strict=True):
            self.trial.optimizer.set_rates(self.optimizer, factors)
            self.gradients.compute(batch)
            if batch is batches[-1]:
                probe = UpdateProbe(self.model)
            self.update()
        self.world.align(self.model)
        metrics = self.gradients.means()  # waits until the device has finished
        metrics |= {
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "grad_norm": probe.grad_norm(),
            "update_ratio": probe.update_ratio(),
            "samples_per_s": sum(map(len, batches)) / (time.perf_counter() - started),
        }
        metrics = self.world.agreed(metrics)
        return metrics, self._values_in_force(factors, batch_size=self._batch_size(batches))

    def _batches(self) -> tuple[Tensor, ...]:
        return epoch_batches(
            self.data.train,
            self.trial.batch_size,
            self.trial.seed,
            self.epoch,
            skip_single=self.gradients.has_batch_norm,
        )

    def _batch_size(self, batches: tuple[Tensor, ...]) -> int:
        """The size as drawn; one above the training part draws all of it, and stands as asked."""
        drawn = len(batches[0])
        takes_all = drawn == len(self.data.train.targets)
        return max(drawn, self.trial.batch_size) if takes_all else drawn

    def _epoch_factors(self, steps: int) -> list[Factors]:
        """The schedule's factors for each step of the epoch, which nothing within it can change."""
        epoch, base_lr = self.epoch, self.trial.optimizer.lr
        return [
            self.trial.schedule.factors(
                Progress(
                    epoch + index / steps, self.step + index, self.trial.epochs, steps, base_lr
                ),
                self.scores,
            )
            for index in range(steps)
        ]

    def update(self) -> None:
        """Take one optimizer step by the gradients that are there, at the rates that are set."""
        for change_gradients in self._after_backward:
            change_gradients(self.model)
        self.optimizer.step()
        for change_weights in self._after_step:
            change_weights(self.model)
        self.step += 1
        if self._averages and self._averaging:
            self._averages.update(self.model, self._averaging.decay, self.step)

    def _validate(self, train_loss: float) -> dict[str, float]:
        """Validation metrics; all NaN once the training loss is not finite."""
        if math.isfinite(train_loss):
            return self.evaluate("validation")
        return dict.fromkeys(metric_names(self.data.task, "validation"), math.nan)

    def _values_in_force(self, factors: Factors, batch_size: int) -> dict[str, Value]:
        trial = self.trial
        live = {
            "optimizer": trial.optimizer.rates_in_force(self.optimizer, factors),
            "loss": trial.loss.rates_in_force(self.loss),
            "model": trial.model.rates_in_force(self.model),
        }
        values: dict[str, Value] = {"batch_size": batch_size}
        for part, rates in live.items():
            values |= {f"{part}.{name}": value for name, value in rates.items()}
        # These apply their own fields, so the configuration is the live object there.
        for part in ("regularizers", "augmentations"):
            for path, value in leaves(getattr(trial, part)).items():
                values[f"{part}.{path}"] = value
        return {path: values[path] for path in self._mutable}
