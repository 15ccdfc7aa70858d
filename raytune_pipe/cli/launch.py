"""The command that runs an experiment on Ray."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.options import experiment_options, given, json_option
from raytune_pipe.cli.output import console, show, show_json, show_next
from raytune_pipe.cli.program import INTERRUPTED

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.results.events import Event
    from raytune_pipe.results.reading import Results
    from raytune_pipe.tuning.runner import Outcome


@click.command()
@experiment_options
@click.option("--name", help="Name of the run's folder, instead of the file's.")
@click.option("--new", is_flag=True, help="If the name is taken, take the first free NAME-2, ...")
@click.option(
    "--address",
    help="A running Ray cluster: auto, or HOST:PORT; without it, this machine alone is used.",
)
@click.option("--analyze", is_flag=True, help="Rank the hyperparameters at the end.")
@json_option
@click.pass_context
def launch(
    ctx: click.Context,
    experiment: "Experiment",
    again: list[str],
    name: str | None,
    new: bool,
    address: str | None,
    analyze: bool,
    as_json: bool,
) -> None:
    """Run an experiment on Ray.

    All its trials, to the end or to Ctrl-C; what was found until then is kept.
    """
    options = [*given("--name", name), *given("--address", address)]
    if name is not None:
        experiment = experiment.model_copy(update={"name": name})
    outcome, begun = _launch(experiment, address, new)
    if outcome and (begun or as_json):
        _show_results(outcome, analyze=analyze, as_json=as_json)
    if outcome is None or outcome.state == "interrupted":
        when = "" if begun else " before any trial began"
        click.echo(f"interrupted{when}; to run all trials again, under a new name:", err=True)
        show_next("raytune-pipe", "launch", *again, *options, "--new", as_json=as_json)
    else:
        _show_next(outcome, again, analyzed=analyze, as_json=as_json)
    ctx.exit(outcome.exit_code if outcome else INTERRUPTED)


def _launch(
    experiment: "Experiment", address: str | None, new: bool
) -> tuple["Outcome | None", bool]:
    """How the launch ended, None if Ctrl-C ended it at once; and whether any trial had begun."""
    from raytune_pipe.cli.live import display
    from raytune_pipe.tuning import runner

    heard: set[str] = set()
    # Ray prints on stdout, in threads of its own too; there the result must stand alone.
    with redirect_stdout(sys.stderr), display(console(stderr=True)) as show_event:

        def hear(event: "Event") -> None:
            heard.add(event["event"])
            show_event(event)

        try:
            outcome = runner.launch(experiment, address=address, new=new, listener=hear)
        except KeyboardInterrupt:
            outcome = None
    return outcome, "start" in heard


def _show_results(outcome: "Outcome", *, analyze: bool, as_json: bool) -> None:
    """The run as its folder tells it, its ranking too if asked for."""
    from raytune_pipe.analysis.importance import rank_importance
    from raytune_pipe.report.importance_table import importance_table
    from raytune_pipe.report.results_table import results_table
    from raytune_pipe.results.reading import read_results

    results = read_results(outcome.path)
    importance = rank_importance(results) if analyze else None
    if as_json:
        show_json(
            {
                "path": str(outcome.path),
                "state": outcome.state,
                "exit_code": outcome.exit_code,
                "trials": results.trials["status"].value_counts().to_dict(),
                "best": _best(results),
                "importance": importance and importance.to_mapping(),
            }
        )
        return
    show(results_table(results), f"results: {outcome.path}")
    if importance:
        show("", importance_table(importance))


def _show_next(outcome: "Outcome", again: list[str], *, analyzed: bool, as_json: bool) -> None:
    """The command that comes after a launch that came to its end."""
    if outcome.exit_code:
        click.echo("no trial can be used; to see one alone:", err=True)
        show_next("raytune-pipe", "train", *again, as_json=as_json)
    else:
        after = "best" if analyzed else "analyze"
        show_next("raytune-pipe", after, str(outcome.path), as_json=as_json)


def _best(results: "Results") -> dict[str, Any] | None:
    """The best trial as plain values; None where no trial can be used."""
    from raytune_pipe.analysis.best import best_trial
    from raytune_pipe.base import TooFewTrialsError

    try:
        return best_trial(results).to_mapping()
    except TooFewTrialsError:
        return None
