"""Commands that read the folder of a run: analyze, best."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    from raytune_pipe.analysis.scheduled_experiment import ScheduledExperiment
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.results.reading import Results

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
    from raytune_pipe.cli.analyzing import analyze_and_keep, report
    from raytune_pipe.results.reading import read_results

    results = read_results(run)
    analysis = analyze_and_keep(results)
    if as_json:
        show_json(analysis.to_mapping())
    else:
        show(report(analysis, results))
    show_next("raytune-pipe", "best", str(run), as_json=as_json)
    if analysis.importance.r2 is None:  # there was too little to fit anything to
        ctx.exit(TOO_FEW_TRIALS)


@click.command()
@run_argument
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write best.yaml, for `raytune-pipe train`, and weights.safetensors there.",
)
@click.option(
    "--schedule",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a new experiment FILE there that trains as a population's best weights were"
    " trained, with a schedule of the learning rate.",
)
@click.option("--test", is_flag=True, help="Compute its metrics on the test part as well.")
@imports_option
@json_option
def best(
    run: Path,
    folder: Path | None,
    file: Path | None,
    test: bool,
    allow_imports: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show, export or test the best trial of a run."""
    from raytune_pipe.analysis.best import best_trial
    from raytune_pipe.report.best_table import best_table
    from raytune_pipe.report.schedule_table import schedule_parts
    from raytune_pipe.results.reading import read_results

    results = read_results(run)
    found = best_trial(results)
    alone = _alone(results, found, allow_imports) if folder or test else None
    schedule = _schedule(results, found, file, allow_imports) if file else None
    exported = _export(alone, found, folder) if alone and folder else None
    tested = _test(alone, found) if alone and test else None
    if as_json:
        learned = schedule and {"file": str(file), **schedule.to_mapping()}
        extras = {"test_metrics": tested, "exported": exported, "schedule": learned}
        show_json({**found.to_mapping(), **extras})
    else:
        show(best_table(found, tested), *(schedule_parts(schedule) if schedule else ()))
    _show_next(results, str(file) if file else exported, allow_imports, as_json=as_json)


def _show_next(
    results: "Results", written: str | None, allow_imports: tuple[str, ...], *, as_json: bool
) -> None:
    """What can be done with the best trial: train it if it was written, else write it if it can."""
    from raytune_pipe.analysis.best import is_trainable

    path = str(results.path)
    if written:
        words = ["train", written, *import_words(allow_imports)]
    elif is_trainable(results):
        words = ["best", path, "--export", "best", *import_words(allow_imports)]
    else:
        words = ["analyze", path]
    show_next("raytune-pipe", *words, as_json=as_json)


def _open(results: "Results", allow_imports: tuple[str, ...]) -> "Experiment":
    """The experiment of a run that can be trained again."""
    from raytune_pipe.analysis.best import require_trainable

    require_trainable(results)
    return open_experiment(results.path / "experiment.yaml", (), allow_imports)


def _alone(results: "Results", found: "BestTrial", allow_imports: tuple[str, ...]) -> "Experiment":
    """The best trial as an experiment of its own."""
    from raytune_pipe.analysis.best import experiment_of

    search_here(allow_imports)
    return experiment_of(_open(results, allow_imports), found)


def _schedule(
    results: "Results", found: "BestTrial", file: Path, allow_imports: tuple[str, ...]
) -> "ScheduledExperiment":
    """Write the experiment that trains as the best weights were trained; the file must be new."""
    from raytune_pipe.analysis.lineage_schedule import lineage_schedule
    from raytune_pipe.analysis.scheduled_experiment import scheduled_experiment
    from raytune_pipe.base import ConfigError
    from raytune_pipe.results.files import storage_errors

    lineage = lineage_schedule(results, found)
    scheduled = scheduled_experiment(_open(results, allow_imports), lineage)
    with storage_errors(file):
        try:
            with file.open("x", encoding="utf-8") as opened:
                opened.write(scheduled.to_yaml())
        except FileExistsError as error:
            message = f"--schedule {file}: must be a new file, but it exists; name another"
            raise ConfigError(message) from error
    return scheduled


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
