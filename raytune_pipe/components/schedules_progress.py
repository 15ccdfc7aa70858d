"""What a schedule is asked with, and what it answers."""

from typing import NamedTuple


class Progress(NamedTuple):
    """How far a trial has come."""

    epoch: float
    """Passes over the data so far, fractions included."""
    step: int
    """Optimizer updates so far."""
    epochs: int
    """Planned passes."""
    steps_per_epoch: int
    base_lr: float
    """The optimizer's own learning rate, which the factor multiplies."""


class Factors(NamedTuple):
    """What multiplies the optimizer's own learning rate and momentum."""

    lr: float = 1.0
    momentum: float = 1.0
