"""Commands that read the folder of a run: analyze, best."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from raytune_pipe.base import ResultsError
from raytune_pipe.cli.options import (
    import_words,
    imports_option,
    json_option,
    open_experiment,
    run_argument,
    search_here,
)
from raytune_pipe.cli.output import show, show_json, show_next

if TYPE_CHECKING:
    from raytune_pipe.analysis.best import BestTrial
    from raytune_pipe.analysis.importance import Importance
    from raytune_pipe.experiment import Experiment

TOO_FEW_TRIALS = 3
"""Exit code where too few trials can be used."""


@click.command()
@run_argument
@json_option
@click.pass_context
def analyze(ctx: click.Context, run: Path, as_json: bool) -> None:
    """Rank the hyperparameters of a run, and say what else its trials tell.

    Or say why they do not allow it. The ranking is kept as importance.parquet in the run's folder.
    """
    from raytune_pipe.analysis.full_analysis import analyze as analyze_results
    from raytune_pipe.report.analysis_report import analysis_report
    from raytune_pipe.results.reading import read_results

    results = read_results(run)
    analysis = analyze_results(results)
    if as_json:
        show_json(analysis.to_mapping())
    else:
        show(analysis_report(analysis, results.objective))
    _keep(analysis.importance, run)
    show_next("raytune-pipe", "best", str(run), as_json=as_json)
    if analysis.importance.r2 is None:  # there was too little to fit anything to
        ctx.exit(TOO_FEW_TRIALS)


def _keep(importance: "Importance", run: Path) -> None:
    """Write the ranking into the run's folder, where it may be written to."""
    from raytune_pipe.analysis.keeping import keep_importance

    try:
        keep_importance(importance, run)
    except ResultsError as error:
        click.echo(f"importance.parquet was not written: {error}", err=True)


@click.command()
@run_argument
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write best.yaml, for `raytune-pipe train`, and weights.safetensors there.",
)
@click.option("--test", is_flag=True, help="Compute its metrics on the test part as well.")
@imports_option
@json_option
def best(
    run: Path, folder: Path | None, test: bool, allow_imports: tuple[str, ...], as_json: bool
) -> None:
    """Show, export or test the best trial of a run."""
    from raytune_pipe.analysis.best import best_trial
    from raytune_pipe.report.best_table import best_table
    from raytune_pipe.results.reading import read_results

    found = best_trial(read_results(run))
    alone = _alone(run, found, allow_imports) if folder or test else None
    exported = _export(alone, found, folder) if alone and folder else None
    tested = _test(alone, found) if alone and test else None
    if as_json:
        show_json({**found.to_mapping(), "test_metrics": tested, "exported": exported})
    else:
        show(best_table(found, tested))
    after = ("train", exported) if exported else ("best", str(run), "--export", "best")
    show_next("raytune-pipe", *after, *import_words(allow_imports), as_json=as_json)


def _alone(run: Path, found: "BestTrial", allow_imports: tuple[str, ...]) -> "Experiment":
    """The best trial as an experiment of its own."""
    from raytune_pipe.analysis.best import experiment_of

    search_here(allow_imports)
    return experiment_of(open_experiment(run / "experiment.yaml", (), allow_imports), found)


def _export(alone: "Experiment", found: "BestTrial", folder: Path) -> str:
    """Write configuration and weights; the path of the configuration."""
    from raytune_pipe.results.files import storage_errors
    from raytune_pipe.training.export import export_weights

    weights = found.required_weights()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        export_weights(weights.path, weights.sha256, folder / "weights.safetensors")
        configuration = folder / "best.yaml"
        configuration.write_text(alone.to_yaml(), encoding="utf-8")
    return str(configuration)


def _test(alone: "Experiment", found: "BestTrial") -> dict[str, float]:
    """Metrics of the best trial's weights on the test part."""
    from raytune_pipe.training.export import evaluate_test

    weights = found.required_weights()
    return evaluate_test(alone.trial, weights.path, weights.sha256)
