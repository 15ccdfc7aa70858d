"""What a check of a trial came to, as a terminal shows it."""

import math
from collections import Counter

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.report.effects_table import LEVELS
from raytune_pipe.training.trial_check_findings import Finding, RangeTest, TrialCheck

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
HEIGHT = 6
"""Lines of the chart."""
PER_DECADE = 8
"""Columns of the chart."""
MARGIN = 8
"""Columns left of the chart, for the losses."""


def check_table(check: TrialCheck) -> RenderableType:
    """A line for each finding, the chart of the range test, and the count of each verdict."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in check.findings:
        _add(table, finding)
    counts = Counter[str](finding.verdict for finding in check.findings)
    summary = Text(", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES))
    if check.range_test is None or len(check.range_test.losses) < 2:
        return Group(table, summary)
    return Group(table, Text(), range_chart(check.range_test), Text(), summary)


def _add(table: Table, finding: Finding) -> None:
    verdict = Text(finding.verdict, style=STYLES[finding.verdict])
    table.add_row(verdict, finding.name, finding.found)
    more = {"expected": finding.expected, "suspect": finding.suspect, "mend": finding.mend}
    for word, text in more.items():
        if text:
            table.add_row(
                "", "", Text(f"{word}: {text}", style="dim" if word == "expected" else "")
            )


def range_chart(test: RangeTest) -> Text:
    """The smoothed loss over the learning rate on a log scale, the suggested range beneath it."""
    logs = np.log10(test.rates)
    first, last = math.floor(logs[0] + 1e-9), math.ceil(logs[-1] - 1e-9)
    columns = np.linspace(first, last, (last - first) * PER_DECADE + 1)
    losses = np.interp(columns, logs, test.losses)
    top = min(max(test.losses), 1.5 * test.losses[0])
    bottom = min(test.losses)
    heights = np.clip((losses - bottom) / ((top - bottom) or 1.0), 0.0, 1.0) * HEIGHT
    drawn = (columns >= logs[0] - 0.5 / PER_DECADE) & (columns <= logs[-1] + 0.5 / PER_DECADE)
    labels = {HEIGHT - 1: f"{top:.3g}", 0: f"{bottom:.3g}"}
    lines = ["loss while the learning rate rises"]
    for row in reversed(range(HEIGHT)):
        bars = (
            _bar(height - row) if there else " "
            for height, there in zip(heights, drawn, strict=True)
        )
        lines.append(f"{labels.get(row, ''):>{MARGIN - 1}} " + "".join(bars).rstrip())
    ticks = "".join(f"{f'1e{decade}':<{PER_DECADE}}" for decade in range(first, last + 1))
    lines.append(" " * MARGIN + ticks.rstrip())
    if test.low is not None and test.high is not None:
        low, high = (round((math.log10(end) - first) * PER_DECADE) for end in (test.low, test.high))
        mark = "|" + "-" * (high - low - 1) + "|"
        lines.append(" " * (MARGIN + low) + f"{mark} suggested")
    return Text("\n".join(lines))


def _bar(height: float) -> str:
    """A block of a line, filled from below to a height in lines."""
    filled = round(min(max(height, 0.0), 1.0) * len(LEVELS))
    return LEVELS[filled - 1] if filled else " "
