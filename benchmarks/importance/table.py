"""Judgements as Markdown tables."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.importance.judging import NOTICEABLE, Judgement

OURS = "raytune-pipe"
Judged = Mapping[str, Sequence[Judgement]]
"""By tool, one for each run."""


def error_rows(rows: Sequence[tuple[str, int, Judged]]) -> Iterator[str]:
    """Mean absolute errors by problem and number of trials, ``first-order / total``."""
    tools = list(dict.fromkeys(tool for _, _, judged in rows for tool in judged))
    yield from _header("problem", "trials", *tools, "trees chosen", "refused")
    for name, trials, judged in rows:
        ours = judged[OURS]
        cells = [_errors(judged[tool]) if tool in judged else "-" for tool in tools]
        trees, refused = sum(one.by_trees for one in ours), sum(one.refused for one in ours)
        yield row(name, trials, *cells, f"{trees} of {len(ours)}", refused)


def trust_rows(rows: Sequence[tuple[str, int, Sequence[Judgement]]]) -> Iterator[str]:
    """How often our intervals hold the truth, and our orders are right."""
    yield from _header(
        "problems",
        "trials",
        "first-order shares held",
        f"those above {NOTICEABLE:g}",
        f"total shares above {NOTICEABLE:g} held",
        "orders asserted",
        "right",
    )
    for name, trials, judged in rows:
        held = [_fraction(judged, key) for key in ("first", "large first", "large total")]
        orders = [right for one in judged for right in one.orders]
        right = f"{np.mean(orders):.4f}" if orders else "-"
        yield row(name, trials, *held, len(orders), right)


def seconds_rows(seconds: Mapping[str, float]) -> Iterator[str]:
    """CPU time by what was done."""
    yield from _header("CPU time on one thread", "s")
    for what, took in seconds.items():
        yield row(what, f"{took:.2f}")


def _errors(judged: Sequence[Judgement]) -> str:
    errors = np.array([one.errors for one in judged if not one.refused])
    if not len(errors):
        return "-"
    first, total = errors.mean(axis=0)
    return f"{first:.4f} / {total:.4f}"


def _fraction(judged: Sequence[Judgement], key: str) -> str:
    held = [one for each in judged for one in each.held.get(key, [])]
    return f"{np.mean(held):.3f} of {len(held)}" if held else "-"


def _header(*cells: str) -> Iterator[str]:
    yield row(*cells)
    yield row(*("---" for _ in cells))


def row(*cells: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"
