"""The shape of effects, as a terminal shows it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.effects import Effect, Surface
from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.optimum import BestValue, MovingOptimum
from raytune_pipe.report.words import (
    CANNOT_TELL,
    FIGURE_WIDTH,
    SURE,
    figure,
    probability,
    ranges,
    value_words,
)

Array = NDArray[np.float64]
LEVELS = "▁▂▃▄▅▆▇█"
MOST_BLOCKS = 9
"""Of a longer curve so many values are shown, the first and the last among them."""


def effects_table(effects: Sequence[Effect], metric: str, *, larger_is_better: bool) -> Table:
    """The metric from a hyperparameter's lowest to its highest value; all curves on one scale.

    Then the values that cannot be told from the best one, and the metric at the best.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("hyperparameter", overflow="fold")
    table.add_column("low to high", no_wrap=True)
    table.add_column("best values", overflow="fold")
    table.add_column(f"{metric} there", no_wrap=True, max_width=FIGURE_WIDTH)
    low = min((float(one.expected.value.min()) for one in effects), default=0.0)
    high = max((float(one.expected.value.max()) for one in effects), default=0.0)
    for one in effects:
        values = one.expected.value
        best = int(values.argmax() if larger_is_better else values.argmin())
        at_best = figure(one.expected.each()[best]) if one.best else ""
        places = np.linspace(0, len(values) - 1, min(len(values), MOST_BLOCKS)).astype(int)
        line = sparkline(values[places], low, high)
        table.add_row(one.name, line, ranges(one.best), at_best)
    return table


def sparkline(values: Array, low: float, high: float) -> str:
    """One block for each value, as high as it stands between two bounds."""
    places = (values - low) / ((high - low) or 1.0) * (len(LEVELS) - 1)
    return "".join(LEVELS[place] for place in np.round(places).astype(int))


def surface_table(surface: Surface, metric: str) -> RenderableType:
    """The metric at each pair of values, the first hyperparameter downwards."""
    name, across = surface.names
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", max_width=16)
    for value in surface.values[1]:
        table.add_column(value_words(value), justify="right", overflow="fold")
    for value, row in zip(surface.values[0], surface.expected.value, strict=True):
        table.add_row(value_words(value), *(f"{one:.3g}" for one in row))
    half = (surface.expected.high - surface.expected.low) / 2
    return Group(
        Text(f"{metric} by {name} (down) and {across} (across)"),
        table,
        Text(f"90 % intervals: {half.min():.2g} to {half.max():.2g} on either side", style="dim"),
    )


def optimum_table(optimum: MovingOptimum) -> RenderableType:
    """The best value of one at each value of the other, and whether it moves."""
    table = Table(optimum.by, f"best {optimum.name}", box=box.SIMPLE_HEAD, pad_edge=False)
    for value, best in zip(optimum.at, optimum.best, strict=True):
        table.add_row(value_words(value), CANNOT_TELL if best is None else _best(best))
    return Group(table, Text(_moves(optimum)))


def _best(best: BestValue) -> str:
    if isinstance(best.value, bool | int | float) and isinstance(best.low, bool | int | float):
        high = best.high if isinstance(best.high, bool | int | float) else best.value
        return figure(Estimate(best.value, best.low, high))
    return value_words(best.value)


def _moves(optimum: MovingOptimum) -> str:
    what = f"the best {optimum.name}"
    for verb, chance in (("rises", optimum.rises), ("falls", 1 - optimum.rises)):
        if chance >= SURE:
            return f"{what} {verb} with {optimum.by} (P {probability(chance)})"
    likelier = max(optimum.rises, 1 - optimum.rises)
    return f"whether {what} moves with {optimum.by}: {CANNOT_TELL} (P {probability(likelier)})"
