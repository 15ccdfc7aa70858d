"""Schedules that only ever lower the learning rate, each a formula of the epoch."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raytune_pipe.base import Component, Count, Positive, Probability
from raytune_pipe.components.schedules_progress import Factors, Progress


class Step(Component):
    """Multiply the rate by ``factor`` every few epochs: factor ** floor(epoch / every)."""

    kind: Literal["step"] = "step"
    """Name of the schedule."""
    every: Count = 10
    """Epochs from one reduction to the next."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Multiplies the learning rate at each reduction."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factor to the power of the reductions so far."""
        return Factors(lr=self.factor ** (progress.epoch // self.every))


def _rising(milestones: tuple[int, ...]) -> tuple[int, ...]:
    if list(milestones) != sorted(set(milestones)):
        raise ValueError(f"milestones must rise, each above the last, but got {list(milestones)}")
    return milestones


class MultiStep(Component):
    """Multiply the rate by ``factor`` at each milestone: factor ** (milestones reached)."""

    kind: Literal["multi_step"] = "multi_step"
    """Name of the schedule."""
    milestones: Annotated[tuple[Count, ...], Field(min_length=1), AfterValidator(_rising)]
    """Epochs after which the rate is reduced, rising."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Multiplies the learning rate at each milestone."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factor to the power of the milestones so far."""
        return Factors(lr=self.factor ** bisect_right(self.milestones, progress.epoch))


class Exponential(Component):
    """Multiply the rate by the same factor in every epoch, smoothly: factor ** epoch."""

    kind: Literal["exponential"] = "exponential"
    """Name of the schedule."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Multiplies the learning rate over one epoch."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factor to the power of the epoch, fractions included."""
        return Factors(lr=self.factor**progress.epoch)


class Inverse(Component):
    """Fall as a power of time: (1 + decay * epoch) ** -power.

    With a power of 1 the rate is halved once decay * epoch is 1.
    """

    kind: Literal["inverse"] = "inverse"
    """Name of the schedule."""
    decay: Positive = 0.1
    """How fast time runs, per epoch."""
    power: Positive = 1.0
    """Exponent of the fall."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The power at the epoch, fractions included."""
        return Factors(lr=(1.0 + self.decay * progress.epoch) ** -self.power)


class InverseSqrt(Component):
    """Hold 1, then fall with the square root of time: sqrt(hold / max(epoch, hold)).

    Under a linear warm-up from near 0 of as many epochs as are held it is the schedule of the
    transformer (Vaswani et al. 2017, arXiv:1706.03762, section 5.3).
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    """Name of the schedule."""
    hold: Positive = 1.0
    """Epochs before the fall begins, which also set its pace; may be a fraction."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The root at the epoch, fractions included."""
        return Factors(lr=math.sqrt(self.hold / max(progress.epoch, self.hold)))


class Polynomial(Component):
    """Fall from 1 at the start to ``final_factor`` at the planned end as a power of what is left.

    final + (1 - final) * (1 - epoch / epochs) ** power; a power of 1 is a straight line.
    """

    kind: Literal["polynomial"] = "polynomial"
    """Name of the schedule."""
    power: Positive = 1.0
    """Exponent: above 1 it falls fast at first, below 1 fast at the end."""
    final_factor: Probability = 0.0
    """Factor at the planned end."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return True

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The power at the epoch, fractions included."""
        left = 1.0 - min(progress.epoch / progress.epochs, 1.0)
        return Factors(lr=self.final_factor + (1.0 - self.final_factor) * left**self.power)


class Sigmoid(Component):
    """Stay near 1, fall around one epoch, end near 0: 1 / (1 + exp(steepness * (epoch - center))).

    At the center the factor is a half.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    """Name of the schedule."""
    center: Positive = 10.0
    """Epoch at which the rate is halved; may be a fraction."""
    steepness: Positive = 0.5
    """How sudden the fall is, per epoch: within 4 / steepness epochs it goes from 0.88 to 0.12."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The sigmoid at the epoch, fractions included."""
        past = self.steepness * (progress.epoch - self.center)
        return Factors(lr=(1.0 - math.tanh(past / 2.0)) / 2.0)  # an exponential could overflow
