"""What trials were warned of, as a terminal shows it."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from raytune_pipe.analysis.warned_trials import WarnedTrials

MOST_NAMED = 5


def warnings_table(warnings: Sequence[WarnedTrials]) -> RenderableType:
    """For each kind: how many trials, the first of them, and what one was told."""
    return Group(*(part for one in warnings for part in _parts(one)))


def _parts(one: WarnedTrials) -> tuple[Text, Text]:
    named = ", ".join(one.trials[:MOST_NAMED]) + (", ..." if len(one.trials) > MOST_NAMED else "")
    words = f"{one.kind}: {len(one.trials)} of {one.begun} trials ({named})"
    return Text(words, style="bold"), Text(f"{one.trials[0]}: {one.example}")
