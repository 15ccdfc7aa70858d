"""Practitioners' orders of importance beside the measured one, as a terminal shows it."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raytune_pipe.analysis.folklore import Agreement
from raytune_pipe.report.words import CANNOT_TELL, probability, share


def folklore_table(agreements: Sequence[Agreement]) -> RenderableType:
    """Kendall's tau-b with each order, the pairs behind it, and where this task departs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("order", "tau-b (90 %)", "at most", "as said", "not so", CANNOT_TELL):
        table.add_column(name, no_wrap=True, justify="left" if name[0] in "ot" else "right")
    for one in agreements:
        if one.refused is None:
            table.add_row(
                one.order,
                share(one.tau) if one.tau else CANNOT_TELL,
                "" if one.most is None else f"{one.most:.2f}",
                *map(str, (one.confirmed, one.reversed, one.unresolved)),
            )
    return Group(*([table] if table.rows else []), *map(Text, _sentences(agreements)))


def _sentences(agreements: Sequence[Agreement]) -> Iterator[str]:
    for one in agreements:
        if one.refused:
            yield f"{one.order}: not compared: {one.refused}"
        elif departure := one.departure:
            yield (
                f"{one.order}: here {departure.above} outranks {departure.below}"
                f" (P {probability(departure.probability)})"
            )
    compared = [one for one in agreements if not one.refused]
    if compared and not any(one.departure for one in compared):
        yield "no order is contradicted beyond doubt"
