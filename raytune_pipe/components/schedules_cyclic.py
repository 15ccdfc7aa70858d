"""Schedules that raise the learning rate and lower it again, once or many times."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import Component, Count, Positive, Probability
from raytune_pipe.components.schedules_progress import Factors, Progress

Ramp = Literal["linear", "cosine"]


class CosineRestarts(Component):
    """Fall by half a cosine from 1 to ``final_factor``, start again at 1, and so on.

    Loshchilov and Hutter 2017, arXiv:1608.03983; the formula of a cycle is that of ``cosine``.
    """

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    """Name of the schedule."""
    period: Count = 10
    """Epochs of the first cycle."""
    growth: Count = 1
    """How many times as long as the last one each further cycle is."""
    final_factor: Probability = 0.0
    """Factor that each cycle falls to."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The cosine at the epoch within its cycle, fractions included."""
        within, length = progress.epoch, self.period
        if self.growth == 1:
            within %= length
        while within >= length:
            within -= length
            length *= self.growth
        return Factors(lr=_between(1.0, self.final_factor, within / length, "cosine"))


class Triangular(Component):
    """Rise in a straight line to a peak, fall to ``low_factor``, and so on (Smith 2017).

    Cyclical learning rates, arXiv:1506.01186; a ``shrinkage`` of 0.5 is its policy triangular2.
    """

    kind: Literal["triangular"] = "triangular"
    """Name of the schedule."""
    period: Positive = 10.0
    """Epochs of a cycle; may be a fraction."""
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of each cycle in which the rate rises."""
    low_factor: Probability = 0.1
    """Factor at which each cycle starts and ends; the first peak is at 1."""
    shrinkage: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Multiplies the height of the peak above ``low_factor`` from one cycle to the next."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return False

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The triangle at the epoch, fractions included."""
        cycle, within = divmod(progress.epoch / self.period, 1.0)
        height = within / self.rise if within <= self.rise else (1.0 - within) / (1.0 - self.rise)
        height *= self.shrinkage**cycle
        return Factors(lr=self.low_factor + (1.0 - self.low_factor) * height)


class OneCycle(Component):
    """One rise of the rate to 1 and one long fall; the momentum moves the other way.

    Smith and Topin 2018, arXiv:1708.07120. ``optimizer.lr`` is the rate at the peak and
    ``optimizer.momentum`` (beta1 of the Adams) that at both ends.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    """Name of the schedule."""
    peak_at: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the planned epochs after which the rate is highest."""
    start_factor: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Factor at the start."""
    final_factor: Probability = 4e-6
    """Factor at the planned end."""
    momentum_factor: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor on the momentum at the peak; 1 leaves the momentum alone."""
    shape: Ramp = "cosine"
    """How it rises and falls."""

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return True

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """Both factors at the epoch, fractions included."""
        done = min(progress.epoch / progress.epochs, 1.0)
        if done <= self.peak_at:
            share = done / self.peak_at
            return Factors(
                lr=_between(self.start_factor, 1.0, share, self.shape),
                momentum=_between(1.0, self.momentum_factor, share, self.shape),
            )
        share = (done - self.peak_at) / (1.0 - self.peak_at)
        return Factors(
            lr=_between(1.0, self.final_factor, share, self.shape),
            momentum=_between(self.momentum_factor, 1.0, share, self.shape),
        )


class WarmupStableDecay(Component):
    """Rise in a straight line, hold 1, and fall at the end (Hu et al. 2024, arXiv:2404.06395)."""

    kind: Literal["warmup_stable_decay"] = "warmup_stable_decay"
    """Name of the schedule."""
    warmup: Probability = 0.05
    """Share of the planned epochs in which the rate rises."""
    decay: Probability = 0.2
    """Share of the planned epochs, at their end, in which it falls."""
    start_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor at the start."""
    final_factor: Probability = 0.0
    """Factor at the planned end."""
    shape: Ramp = "linear"
    """How it falls."""

    @model_validator(mode="after")
    def _fits_into_the_epochs(self) -> Self:
        if self.warmup + self.decay > 1:
            total = f"{self.warmup:g} + {self.decay:g}"
            raise ValueError(f"warmup and decay must come to at most 1 together, but got {total}")
        return self

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factors so far would be others if more epochs were planned."""
        return True

    def factors(self, progress: Progress, scores: Sequence[float]) -> Factors:
        """The factor of the part that the epoch lies in, fractions included."""
        done = min(progress.epoch / progress.epochs, 1.0)
        if done < self.warmup:
            return Factors(lr=_between(self.start_factor, 1.0, done / self.warmup, "linear"))
        falling = done - (1.0 - self.decay)
        if falling <= 0:
            return Factors()
        share = min(falling / self.decay, 1.0)
        return Factors(lr=_between(1.0, self.final_factor, share, self.shape))


def _between(start: float, end: float, share: float, shape: Ramp) -> float:
    """From ``start`` to ``end`` as the share goes from 0 to 1, in a line or by half a cosine."""
    height = (1.0 + math.cos(math.pi * share)) / 2.0 if shape == "cosine" else 1.0 - share
    return end + (start - end) * height
