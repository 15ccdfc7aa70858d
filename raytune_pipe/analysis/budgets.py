"""How importance changes with the budget: what matters early need not matter at the end."""

from dataclasses import dataclass
from typing import Any

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.fits import Fits
from raytune_pipe.analysis.plain_values import plain


@dataclass(frozen=True)
class BudgetImportance:
    """Variance shares of the score after some epochs."""

    epochs: float
    total: dict[str, Estimate]
    """Total shares of all hyperparameters, in the order of the space."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def importance_by_budget(fits: Fits) -> tuple[BudgetImportance, ...]:
    """Shares at every rung and at the full budget; empty where no trial was stopped early."""
    return tuple(
        BudgetImportance(epochs, dict(zip(fits.space.names, _totals(at_rung), strict=True)))
        for epochs, at_rung in fits.at_budgets
    )


def _totals(fits: Fits) -> list[Estimate]:
    return fits.estimates(lambda one: one.shares().total).clipped(0.0, 1.0).each()
