"""The way from the default to the best configuration, as a terminal shows it."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.ablation import Ablation
from raytune_pipe.report.words import CANNOT_TELL, figure, share, value_words


def ablation_table(ablation: Ablation, metric: str) -> RenderableType:
    """One row a step: what changes, the metric then, and its part of the gain."""
    notes = [Text(f"Note: {one}", style="dim") for one in ablation.notes]
    if ablation.refused:
        return Group(Text(f"no way to the best trial: {ablation.refused}"), *notes)
    is_gain = ablation.gain is not None and ablation.gain.low > 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("step", "from", "to", f"{metric} (90 %)", "of the gain (90 %)")[: 4 + is_gain]:
        table.add_column(name, overflow="fold", no_wrap="90" in name)
    if ablation.start:
        table.add_row("(default)", "", "", figure(ablation.start))
    for step in ablation.steps:
        part = [share(step.share) if step.share else ""] if is_gain else []
        values = map(value_words, (step.before, step.after))
        table.add_row(step.name, *values, figure(step.expected), *part)
    doubt = f"whether the best trial is better than the default: {CANNOT_TELL}"
    return Group(table, *([] if is_gain else [Text(doubt)]), *notes)
