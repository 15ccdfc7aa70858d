"""The columns of the table of reports, made of the events themselves."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from raytune_pipe.base import Value
from raytune_pipe.results.events import ReportEvent
from raytune_pipe.results.growing_table import Columns, Constant
from raytune_pipe.results.lineage import as_text
from raytune_pipe.results.trial_state import microseconds


class TrialReport(NamedTuple):
    """A report, and what its trial was planned with."""

    event: ReportEvent
    leaves: Mapping[str, Value]
    """In text columns as text already."""


class ReportColumns:
    """The values of each column, made column by column: no mapping is built for a row.

    What a report says wins over what its trial was planned with.
    """

    def __init__(self, text_columns: Collection[str] = ()) -> None:
        self._text_columns = text_columns
        self._first: Mapping[str, Value] | None = None
        self._varying: set[str] = set()
        """What not all trials were planned with alike."""

    def add_plan(self, leaves: Mapping[str, Value]) -> None:
        """Note what a trial was planned with."""
        first = self._first = leaves if self._first is None else self._first
        names = first.keys() | leaves.keys()
        self._varying |= {name for name in names if first.get(name) != leaves.get(name)}

    def __call__(self, reports: Sequence[TrialReport], names: Sequence[str]) -> Columns:
        """Those of some reports."""
        events = [report.event for report in reports]
        leaves = [report.leaves for report in reports]
        metrics = [event["metrics"] for event in events]
        values = [event["values"] for event in events]
        reported: set[str] = set().union(*metrics)
        in_force: set[str] = set().union(*values)
        columns = _of_every_report(events)
        for name in names:
            if name in columns:
                continue
            if name in reported:
                columns[name] = [each.get(name) for each in metrics]
            elif name in in_force:
                both = zip(values, leaves, strict=True)
                column = [now[name] if name in now else plan.get(name) for now, plan in both]
                is_text = name in self._text_columns
                columns[name] = list(map(as_text, column)) if is_text else column
            elif name in self._varying:
                columns[name] = [each.get(name) for each in leaves]
            else:
                columns[name] = Constant(leaves[0].get(name))
        return columns


def _of_every_report(events: Sequence[ReportEvent]) -> dict[str, Sequence[Any] | Constant]:
    checkpoints = [event["checkpoint"] for event in events]
    return {
        "trial_id": [event["trial_id"] for event in events],
        "report": [event["report"] for event in events],
        "attempt": [event["attempt"] for event in events],
        "segment": [event["segment"] for event in events],
        "epoch": [event["epoch"] for event in events],
        "step": [event["step"] for event in events],
        "time_s": [event["time_s"] for event in events],
        "score": [event["score"] for event in events],
        "verdict": [event["verdict"] for event in events],
        "checkpoint": [saved and saved["path"] for saved in checkpoints],
        "checkpoint_sha256": [saved and saved["sha256"] for saved in checkpoints],
        "reported_at": [microseconds(event["time"]) for event in events],
    }
