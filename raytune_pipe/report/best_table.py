"""The best trial of a run, as a terminal shows it."""

from collections.abc import Mapping

from rich.table import Table

from raytune_pipe.analysis.best import BestTrial
from raytune_pipe.report.plan_table import number
from raytune_pipe.results.bucket_runs import location_of


def best_table(best: BestTrial, test_metrics: Mapping[str, float] | None = None) -> Table:
    """Its score, its hyperparameters in force, who trained its weights, its test metrics."""
    table = Table.grid("", "", padding=(0, 2))
    where = f"report {best.report}, epoch {best.epoch:g}"
    table.add_row("best trial", f"{best.trial_id}, {best.status}")
    table.add_row(best.metric, f"{best.value:.4g} ({where})")
    for name, value in best.values.items():
        if value is not None:
            table.add_row(name, number(value))
    if len(best.ancestry) > 1:
        for stretch in best.ancestry:
            table.add_row("trained by", f"{stretch.trial_id} to report {stretch.to_report}")
    if best.weights:
        table.add_row("weights", f"{location_of(best.weights.path)} (report {best.weights.report})")
    for name, value in (test_metrics or {}).items():
        table.add_row(name, f"{value:.4g}")
    return table
