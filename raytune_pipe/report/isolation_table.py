"""What each value of a scientific hyperparameter can reach, as a terminal shows it."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.isolation import Isolation, Measured
from raytune_pipe.report.words import CANNOT_TELL, figure, ranges, value_words


def isolation_table(isolation: Isolation, metric: str) -> RenderableType:
    """The metric with all others tuned at each value, and the best trial there."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (isolation.name, f"{metric}, others tuned (90 %)", "best trial", "of trials"):
        table.add_column(name, overflow="fold")
    rows = zip(isolation.values, isolation.reached.each(), isolation.measured, strict=True)
    for value, reached, measured in rows:
        table.add_row(value_words(value), figure(reached), *_measured(measured))
    best = ranges(isolation.best)
    words = f"which {isolation.name} is best, others tuned: {CANNOT_TELL}"
    if isolation.best:
        words = f"best {isolation.name}, others tuned: {best}"
    return Group(table, Text(words))


def _measured(measured: Measured | None) -> tuple[str, str]:
    if measured is None:
        return "none", "0"
    return f"{measured.metric:.3g} ({measured.trial_id})", str(measured.trials)
