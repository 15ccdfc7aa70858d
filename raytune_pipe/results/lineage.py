"""The rows of ``lineage.parquet``: who took what from whom, and who was stopped where."""

from collections.abc import Iterator
from typing import Any

from raytune_pipe.base import Value, to_json
from raytune_pipe.results.events import DecisionRecord, ReportEvent
from raytune_pipe.search_space import SearchSpace


def lineage_rows(
    decision: DecisionRecord, report: ReportEvent | None, space: SearchSpace
) -> Iterator[dict[str, Any]]:
    """One row for each hyperparameter that the decision changes, or one row if it changes none.

    ``report`` is the last one of the trial that is decided on.
    """
    checkpoint = decision["checkpoint"] or {}
    row = {
        "trial_id": decision["trial"],
        "report": report and report["report"],
        "epoch": report and report["epoch"],
        "segment": report and report["segment"],
        "operation": decision["action"],
        "diverged": decision["diverged"],
        "rung": decision["rung"],
        "bracket": decision["bracket"],
        "cutoff": decision["cutoff"],
        "score": report and report["score"],
        "donor": decision["donor"],
        "donor_report": decision["donor_report"],
        "checkpoint": checkpoint.get("path"),
        "checkpoint_sha256": checkpoint.get("sha256"),
    }
    if not decision["changes"]:
        yield row
    for name, operation, before, after in decision["changes"]:
        yield {
            **row,
            "operation": operation,
            "hyperparameter": name,
            "before": as_text(before),
            "after": as_text(after),
            "before_unit": _unit(space, name, before),
            "after_unit": _unit(space, name, after),
        }


def as_text(value: Value) -> str | None:
    """A value as text; a number as JSON writes it."""
    return value if value is None or isinstance(value, str) else to_json(value)


def _unit(space: SearchSpace, name: str, value: Value) -> float | None:
    return None if value is None else space[name].distribution.to_unit(value)
