"""The advised ranges with their reasons, as a terminal shows them."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from raytune_pipe.advice_table import Advice, Source
from raytune_pipe.report.plan_table import describe_distribution, number

SOURCES = (
    "A to E are the five practitioners' texts that the advice is gathered from; where they"
    " disagree, what the others say follows."
)


def advice_report(rows: Sequence[Advice]) -> RenderableType:
    """Each range, where it is meant, why, who says so, and what the others say."""
    return Group(*(part for advice in rows for part in _parts(advice)), Text(SOURCES))


def _parts(advice: Advice) -> Iterator[RenderableType]:
    name = Text(advice.path, style="bold")
    if advice.where:
        name.append(f", where {_where(advice)}", style="not bold")
    yield name
    words = describe_distribution(advice.distribution)
    yield _indented(f"{words} ({_by(advice.by)}). {advice.reason}")
    for other in advice.alternatives:
        yield _indented(f"or: {other.words} ({_by(other.by)})")


def _where(advice: Advice) -> str:
    return " and ".join(
        f"{path} is {' or '.join(map(number, values))}" for path, values in advice.where.items()
    )


def _by(sources: Sequence[Source]) -> str:
    return ", ".join(sources)


def _indented(words: str) -> RenderableType:
    return Padding(Text(words), (0, 0, 0, 2))
