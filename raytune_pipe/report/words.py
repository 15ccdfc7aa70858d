"""Figures, values and shares in words and small tables, as the tables of readings show them."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.grids import ValueRange
from raytune_pipe.base import Value
from raytune_pipe.report.plan_table import number

CANNOT_TELL = "cannot tell"
FIGURE_WIDTH = 24
"""Characters of most figures with their interval."""
SURE = 0.95
"""Probability from which on an order is asserted."""


def figure(estimate: Estimate) -> str:
    """A figure with its interval, three digits and two: ``0.423 (0.31 to 0.55)``."""
    return f"{estimate.value:.3g} ({estimate.low:.2g} to {estimate.high:.2g})"


def share(estimate: Estimate) -> str:
    """A share with its interval, two decimals each: ``0.42 (0.31 to 0.55)``."""
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def probability(value: float) -> str:
    """``= 0.97``, or ``> 0.99`` where it is nearer to 1."""
    return f"= {value:.2f}" if value < 0.995 else "> 0.99"


def ranges(values: Sequence[ValueRange]) -> str:
    """Ranges of values: ``0.001 to 0.1, 0.5``; cannot tell where there are none."""
    return ", ".join(_range(one) for one in values) or CANNOT_TELL


def value_words(value: Value) -> str:
    """A value, of a real number three digits."""
    return f"{value:.3g}" if isinstance(value, float) else number(value)


def _range(values: ValueRange) -> str:
    low, high = map(value_words, values)
    return low if low == high else f"{low} to {high}"


def shares_table(
    title: str, shares: Mapping[str, Estimate], tiers: Sequence[Sequence[str]]
) -> Table:
    """Shares by hyperparameter, with a line wherever the data can tell above from below."""
    table = Table("hyperparameter", title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for tier in tiers:
        for name in tier:
            table.add_row(name, share(shares[name]))
        table.add_section()
    return table


def order_in_words(tiers: Sequence[Sequence[str]]) -> str:
    """Whether the tiers tell an order."""
    if len(tiers) > 1 and len(tiers[0]) == 1:
        return f"{tiers[0][0]} matters most"
    if len(tiers) > 1:
        return f"which of {', '.join(tiers[0])} matters most: {CANNOT_TELL}"
    return f"an order: {CANNOT_TELL}"
