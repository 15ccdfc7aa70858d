"""What matters among good configurations and around the best one, as a terminal shows it."""

from rich.console import Group, RenderableType
from rich.text import Text

from raytune_pipe.analysis.good_trials import GoodTrials
from raytune_pipe.analysis.local import LocalImportance
from raytune_pipe.report.words import order_in_words, shares_table


def good_trials_table(good: GoodTrials) -> RenderableType:
    """Shares within the best part of the space, or why there are none."""
    where = f"among the best {good.quantile:.0%} of configurations"
    if good.refused:
        return Text(f"{where}: cannot tell, {good.refused}")
    table = shares_table("total share (90 %)", good.shares, good.tiers)
    return Group(table, Text(f"{where}: {order_in_words(good.tiers)}"))


def local_importance_table(local: LocalImportance) -> RenderableType:
    """Fractions of the variance around one configuration, or why there are none."""
    if local.refused:
        return Text(f"around the best trial: cannot tell, {local.refused}")
    table = shares_table("fraction (90 %)", local.fractions, local.tiers)
    return Group(table, Text(f"around the best trial: {order_in_words(local.tiers)}"))
