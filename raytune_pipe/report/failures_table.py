"""What breaks trials, as a terminal shows it."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from raytune_pipe.analysis.failures import FailureCurve, FailureImportance
from raytune_pipe.report.words import figure, ranges, share, shares_table, value_words

WAYS = {
    "failed": " (an error, a crash or a kill)",
    "out_of_memory": " (what this hardware cannot hold)",
}
"""Ways to break that say little about training itself."""


def failures_table(failures: Sequence[FailureImportance]) -> RenderableType:
    """For each way to break: how many, what decides it, and where; 80 columns."""
    return Group(*(part for one in failures for part in _parts(one)))


def _parts(failure: FailureImportance) -> Iterator[RenderableType]:
    cause = failure.cause + WAYS.get(failure.cause, "")
    words = f"{cause}: {failure.broken} of {failure.trials} trials"
    if failure.r2:
        words += f"; cross-validated R2 {share(failure.r2)}"
    yield Text(words, style="bold")
    if failure.refused:
        yield Text(f"what decides it: cannot tell, {failure.refused}")
    if failure.total:
        yield shares_table("total share of it (90 %)", failure.total, failure.tiers)
    if failure.curve:
        yield Text(_where(failure.curve))


def _where(curve: FailureCurve) -> str:
    if curve.surely_break:
        return f"{curve.name}: at {ranges(curve.surely_break)} more than half break"
    if curve.mostly_break:
        return (
            f"{curve.name}: at {ranges(curve.mostly_break)} about half or more break; whether more"
            " than half do: cannot tell"
        )
    worst = int(curve.probability.value.argmax())
    return (
        f"{curve.name}: at worst, at {value_words(curve.values[worst])}, a fraction of"
        f" {figure(curve.probability.each()[worst])} breaks"
    )
