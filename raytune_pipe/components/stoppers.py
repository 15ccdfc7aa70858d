"""Stop rules: pure verdicts on the history of the validation loss; a mapping keyed by kind."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from raytune_pipe.base import Component, Count, NonNegative

Verdict = Literal["not_a_number", "divergence", "patience"]

DIVERGED: tuple[Verdict, ...] = ("not_a_number", "divergence")
"""Verdicts after which a trial has no score, and its weights are of no use."""


class NotANumber(Component):
    """Stop when the loss is no finite number."""

    def verdict(self, history: Sequence[float]) -> Verdict | None:
        """Its own name to stop now, else None; ``history`` holds one loss per finished epoch."""
        if history and not math.isfinite(history[-1]):
            return "not_a_number"
        return None


class Divergence(Component):
    """Stop when the loss has stayed far above its lowest value."""

    factor: Annotated[float, Field(gt=1)] = 10.0
    """Times the lowest loss so far: what a loss must exceed."""
    epochs: Count = 3
    """Epochs in a row that must exceed it."""

    def verdict(self, history: Sequence[float]) -> Verdict | None:
        """Its own name to stop now, else None; ``history`` holds one loss per finished epoch."""
        if len(history) <= self.epochs:
            return None
        lowest, recent = _lowest(history[: -self.epochs]), history[-self.epochs :]
        if all(loss > self.factor * lowest for loss in recent):
            return "divergence"
        return None


class Patience(Component):
    """Stop when the lowest loss has not become lower for some epochs (early stopping)."""

    epochs: Count = 10
    """Epochs that may pass without an improvement."""
    min_improvement: NonNegative = 0.0
    """How far a loss must lie below the lowest one before to count as an improvement."""

    def verdict(self, history: Sequence[float]) -> Verdict | None:
        """Its own name to stop now, else None; ``history`` holds one loss per finished epoch."""
        if len(history) <= self.epochs:
            return None
        before, recent = _lowest(history[: -self.epochs]), _lowest(history[-self.epochs :])
        if recent < before - self.min_improvement:
            return None
        return "patience"


class Stoppers(Component):
    """The stop rules of a trial, by kind; one that is absent is off."""

    not_a_number: NotANumber = NotANumber()
    """Always on: a trial whose loss is no number cannot recover."""
    divergence: Divergence | None = None
    """Stop far above the lowest loss."""
    patience: Patience | None = None
    """Stop without improvement."""

    def verdict(self, history: Sequence[float]) -> Verdict | None:
        """The first rule that says stop, or None; ``history`` holds one loss per finished epoch."""
        for _, rule in self:
            verdict: Verdict | None = rule.verdict(history) if rule else None
            if verdict:
                return verdict
        return None


def _lowest(losses: Sequence[float]) -> float:
    return min((loss for loss in losses if not math.isnan(loss)), default=math.inf)
