"""Importance by budget, as it is read."""

import io

import pytest
from rich.console import Console

from raytune_pipe.analysis.budgets import BudgetImportance
from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.report.budgets_table import budgets_table

NAMES = ("optimizer.lr", "regularizers.clip_norm.max_norm")


def budget(epochs: float, lr: float) -> BudgetImportance:
    shares = {NAMES[0]: Estimate(lr, lr - 0.1, lr + 0.1), NAMES[1]: Estimate(0.0, 0.0, 0.1)}
    return BudgetImportance(epochs, dict(reversed(shares.items())))


def shown(*budgets: BudgetImportance) -> list[str]:
    """Lines as a pipe of 80 columns gets them."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(budgets_table(budgets, NAMES))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return [line for line in lines if line.strip()]


def test_the_first_the_middle_and_the_last_budget_are_shown() -> None:
    head, _, *rows = shown(*(budget(3.0**rung, 0.2 + rung / 10) for rung in range(5)))
    assert " ".join(head.split()) == "total share after 1 epoch after 9 epochs after 81 epochs"
    figures = "0.20 (0.10 to 0.30) 0.40 (0.30 to 0.50) 0.60 (0.50 to 0.70)"
    assert " ".join(rows[0].split()) == f"optimizer.lr {figures}"


def test_rows_come_in_the_order_that_is_asked_for() -> None:
    text = "\n".join(shown(budget(1.0, 0.2), budget(4.5, 0.9)))
    assert text.index("optimizer.lr") < text.index("regularizers.clip")
    assert "after 4.5 epochs" in text


@pytest.mark.parametrize("count", [1, 2])
def test_few_budgets_are_all_shown(count: int) -> None:
    head = shown(*(budget(float(1 + rung), 0.5) for rung in range(count)))[0]
    assert head.count("after") == count
