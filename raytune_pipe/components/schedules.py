"""Schedules: factors on the base learning rate and momentum, pure in progress and scores."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import Component, CountOrZero, NonNegative, Positive, Probability
from raytune_pipe.components.schedules_cyclic import (
    CosineRestarts,
    OneCycle,
    Triangular,
    WarmupStableDecay,
)
from raytune_pipe.components.schedules_decay import (
    Exponential,
    Inverse,
    InverseSqrt,
    MultiStep,
    Polynomial,
    Sigmoid,
    Step,
)
from raytune_pipe.components.schedules_progress import Factors, Progress


class Constant(Component):
    """Keep the base learning rate: factor 1."""

    kind: Literal["constant"] = "constant"
    """Name of the schedule."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """Factors of the next step; ``scores`` holds one per finished epoch, lower is better."""
        return Factors()


class Piecewise(Component):
    """Hold each rate from its epoch (or step) on, until the next entry; before the first, 1."""

    kind: Literal["piecewise"] = "piecewise"
    """Name of the schedule."""
    multipliers: Annotated[dict[int, Positive], Field(min_length=1)] | None = None
    """From which epoch (or step) on which multiple of the base learning rate applies."""
    rates: Annotated[dict[int, Positive], Field(min_length=1)] | None = None
    """From which epoch (or step) on which absolute learning rate applies."""
    unit: Literal["epoch", "step"] = "epoch"
    """What the keys count."""

    @model_validator(mode="after")
    def _one_map_from_zero_on(self) -> Self:
        if (self.multipliers is None) == (self.rates is None):
            given = "neither" if self.rates is None else "both"
            raise ValueError(f"must have exactly one of multipliers and rates, but got {given}")
        if min(self._entries) < 0:
            raise ValueError(f"{self.unit}s must be at least 0, but got {min(self._entries)}")
        return self

    @property
    def _entries(self) -> dict[int, float]:
        return self.multipliers or self.rates or {}

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The entry of the greatest key that has been reached; 1 before the first."""
        position = progress.epoch if self.unit == "epoch" else progress.step
        reached = [key for key in self._entries if key <= position]
        if not reached:
            return Factors()
        entry = self._entries[max(reached)]
        return Factors(lr=entry if self.rates is None else entry / progress.base_lr)


class Cosine(Component):
    """Half a cosine from 1 at the start to ``final_factor`` at the planned end.

    final + (1 - final) * (1 + cos(pi * epoch / epochs)) / 2 (Loshchilov and Hutter 2017,
    arXiv:1608.03983, without restarts).
    """

    kind: Literal["cosine"] = "cosine"
    """Name of the schedule."""
    final_factor: Probability = 0.0
    """Factor at the planned end."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return True

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The cosine at the epoch, fractions included."""
        done = min(progress.epoch / progress.epochs, 1.0)
        height = (1.0 + math.cos(math.pi * done)) / 2.0
        return Factors(lr=self.final_factor + (1.0 - self.final_factor) * height)


class Plateau(Component):
    """Multiply the rate by ``factor`` whenever ``val_loss`` has stopped falling.

    That is so whatever the experiment's objective.
    """

    kind: Literal["plateau"] = "plateau"
    """Name of the schedule."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Multiplies the learning rate at each reduction."""
    patience: CountOrZero = 10
    """Epochs without improvement that are let pass; the next one reduces."""
    threshold: NonNegative = 1e-4
    """Share of the lowest loss by which a loss must be lower to count as an improvement."""
    cooldown: CountOrZero = 0
    """Epochs after a reduction in which none is counted as bad."""
    floor: Probability = 0.0
    """Smallest factor."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factor that the scores so far lead to; a NaN is no improvement."""
        patience, threshold = self.patience, self.threshold
        to_beat, bad, cooling, lr = math.inf, 0, 0, 1.0
        for score in scores:
            if score < to_beat:
                to_beat, bad = score - abs(score) * threshold, 0
            else:
                bad += 1
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > patience:
                lr = max(lr * self.factor, self.floor)
                cooling, bad = self.cooldown, 0
        return Factors(lr=lr)


class Warmup(Component):
    """Ramp up to the factors of another schedule, then follow it.

    A ramp goes from ``start_factor`` to 1 in a straight line, or as start_factor ** (1 - done). It
    multiplies: ``then`` counts its epochs from the start of the trial, so the milestones and the
    planned end stay where they are (Goyal et al. 2017, arXiv:1706.02677).
    """

    kind: Literal["warmup"] = "warmup"
    """Name of the schedule."""
    epochs: Positive = 5.0
    """Length of the ramp; may be a fraction."""
    start_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Where the ramp starts."""
    shape: Literal["linear", "exponential"] = "linear"
    """How the ramp rises: by the same amount in equal times, or by the same factor."""
    then: "Schedule" = Constant()
    """The schedule that is ramped up to."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return self.then.depends_on_epochs

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factors of ``then``, its learning rate times the ramp."""
        done = min(progress.epoch / self.epochs, 1.0)
        if self.shape == "linear":
            ramp = self.start_factor + (1.0 - self.start_factor) * done
        else:
            ramp = self.start_factor ** (1.0 - done)
        lr, momentum = self.then.factors(progress, scores)
        return Factors(lr=ramp * lr, momentum=momentum)


Schedule = Annotated[
    Constant
    | Piecewise
    | Step
    | MultiStep
    | Exponential
    | Inverse
    | InverseSqrt
    | Polynomial
    | Sigmoid
    | Plateau
    | Cosine
    | CosineRestarts
    | OneCycle
    | Triangular
    | WarmupStableDecay
    | Warmup,
    Field(discriminator="kind"),
]
Warmup.model_rebuild()
