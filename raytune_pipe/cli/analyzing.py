"""What analyze and the option --analyze share: all readings of a run, shown and kept."""

from typing import TYPE_CHECKING

import click

from raytune_pipe.base import ResultsError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from raytune_pipe.analysis.full_analysis import Analysis
    from raytune_pipe.analysis.ranking import Importance
    from raytune_pipe.results.reading import Results


def analyze_and_keep(results: "Results") -> "Analysis":
    """All that a run says of its hyperparameters; the ranking is left in its folder as well."""
    from raytune_pipe.analysis.full_analysis import analyze

    analysis = analyze(results)
    _keep(analysis.importance, results)
    return analysis


def report(analysis: "Analysis", results: "Results") -> "RenderableType":
    """The analysis as a terminal shows it."""
    from raytune_pipe.report.analysis_report import analysis_report

    return analysis_report(analysis, results.objective)


def _keep(importance: "Importance", results: "Results") -> None:
    """Write the ranking into the run's folder, where it may be written to."""
    from raytune_pipe.analysis.keeping import keep_importance

    try:
        keep_importance(importance, results.path)
    except ResultsError as error:
        click.echo(f"importance.parquet was not written: {error}", err=True)
