"""Importance at every rung, as a terminal shows it."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from raytune_pipe.analysis.budgets import BudgetImportance
from raytune_pipe.report.words import share


def budgets_table(budgets: Sequence[BudgetImportance], names: Sequence[str]) -> Table:
    """Total shares of the score at the first rung, at one between, and at the full budget.

    ``names`` are the hyperparameters in the order of their rows.
    """
    shown = [budgets[0], budgets[len(budgets) // 2], budgets[-1]] if len(budgets) > 2 else budgets
    table = Table("total share", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for one in shown:
        epochs = f"{one.epochs:g} epoch" + ("" if one.epochs == 1 else "s")
        table.add_column(f"after {epochs}", no_wrap=True)
    for name in names:
        table.add_row(name, *(share(one.total[name]) for one in shown))
    return table
