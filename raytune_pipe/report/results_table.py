"""What a run has come to, as a terminal shows it: its trials by status, and the best one."""

from collections.abc import Iterator
from typing import get_args

from rich.console import Group, RenderableType
from rich.text import Text

from raytune_pipe.analysis.best import best_trial
from raytune_pipe.base import TooFewTrialsError
from raytune_pipe.report.best_table import best_table
from raytune_pipe.results.events import Status
from raytune_pipe.results.reading import Results


def results_table(results: Results) -> RenderableType:
    """The count of trials by status, and the best trial or why there is none."""
    count = len(results.trials)
    trials = f"{count} trial{'' if count == 1 else 's'}"
    counts = Text(f"{trials}: {', '.join(_counts(results)) or 'none begun'}")
    try:
        return Group(counts, best_table(best_trial(results)))
    except TooFewTrialsError as error:
        return Group(counts, Text(str(error)))


def _counts(results: Results) -> Iterator[str]:
    """Statuses in their own order, the usual ones first."""
    counts = results.trials["status"].value_counts()
    for status in get_args(Status):
        if status in counts.index:
            yield f"{int(counts[status])} {status}"
