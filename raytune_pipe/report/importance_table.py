"""The ranking of the hyperparameters, as a terminal shows it."""

import itertools
from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.importance import HyperparameterImportance, Importance

BAR_WIDTH = 16
"""Characters of a bar that stands for a share of 1."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
RESOLVED = 0.95
"""Orders less probable than this are called not resolved."""


def importance_table(importance: Importance) -> RenderableType:
    """The header, the ranking or why there is none, the verdicts and the notes; 80 columns."""
    parts: list[RenderableType] = [_header(importance)]
    if importance.refused:
        parts.append(Text(f"No ranking: {importance.refused}.", style="bold yellow"))
    else:
        parts += [_ranking(importance), *map(Text, _verdicts(importance))]
    parts += [Text(f"Note: {note}", style="dim") for note in importance.notes]
    return Group(*parts)


def _header(importance: Importance) -> Text:
    count = f"{importance.trials} usable trials"
    if importance.rows != importance.trials:
        count += f", {importance.rows} segments"
    r2 = f"; cross-validated R2 {_estimate(importance.r2)}" if importance.r2 else ""
    text = Text(f"Importance for {importance.objective}\n", style="bold")
    return text.append(f"{count}{r2}\n{importance.method}", style="not bold")


def _ranking(importance: Importance) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("hyperparameter", overflow="fold")
    table.add_column("total share", no_wrap=True, min_width=BAR_WIDTH + 5)
    table.add_column("90 %", no_wrap=True)
    table.add_column("alone", no_wrap=True, justify="right")
    table.add_column("90 %", no_wrap=True)
    for one in importance.ranking:
        table.add_row(*_row(one))
    if importance.context:
        table.add_section()
    for one in importance.context:
        table.add_row(*_row(one), style="dim")
    return table


def _row(one: HyperparameterImportance) -> tuple[str, str, str, str, str]:
    total = f"{one.total.value:.2f} {_bar(one.total.value)}"
    return one.name, total, _range(one.total), f"{one.first.value:.2f}", _range(one.first)


def _bar(share: float) -> str:
    full, part = divmod(round(min(max(share, 0.0), 1.0) * BAR_WIDTH * 8), 8)
    return ("█" * full + EIGHTHS[part]).rstrip()


def _range(estimate: Estimate) -> str:
    return f"{estimate.low:.2f}-{estimate.high:.2f}"


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _verdicts(importance: Importance) -> Iterator[str]:
    """Sentences: learning rate against batch size first, then neighbours, then the top pair."""
    names = [one.name for one in importance.ranking]
    headline = _headline(names)
    if headline:
        yield _order(importance, *headline)
    for left, right in itertools.pairwise(names[:3]):
        if {left, right} != set(headline or ()):
            yield _order(importance, left, right)
    for pair in importance.pairs[:1]:
        yield f"strongest interaction: {' with '.join(pair.names)}, {_estimate(pair.share)}"


def _headline(names: list[str]) -> tuple[str, str] | None:
    """The learning rate and the batch size, where both were searched."""
    found = {name.rpartition(".")[2]: name for name in names}
    return (found["lr"], found["batch_size"]) if {"lr", "batch_size"} <= found.keys() else None


def _order(importance: Importance, left: str, right: str) -> str:
    probability = importance.above[left][right]
    if probability < 0.5:
        left, right, probability = right, left, 1 - probability
    shown = f"{probability:.2f}" if probability < 0.995 else "> 0.99"
    equals = "" if shown.startswith(">") else "= "
    doubt = "" if probability >= RESOLVED else " (not resolved)"
    return f"{left} over {right}: P {equals}{shown}{doubt}"
