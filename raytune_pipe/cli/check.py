"""The command that looks a trial over before it is tuned: no Ray, no search."""

from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.options import experiment_options, json_option, search_here
from raytune_pipe.cli.output import echo, show, show_json, show_next

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.training.trial_check_findings import TrialCheck
    from raytune_pipe.training.trial_check_runs import Place

FAILED_EXIT = 3
"""Exit code where a check fails: the trial could be trained, but not to any use."""


@click.command()
@experiment_options
@json_option
@click.pass_context
def check(ctx: click.Context, experiment: "Experiment", again: list[str], as_json: bool) -> None:
    """Look the trial of a file over before it is tuned.

    On its own data and network, in seconds, without Ray: the loss before training, gradients,
    learning rates. Exits 3 if anything fails.
    """
    from raytune_pipe.report.check_table import check_table
    from raytune_pipe.training.memory import memory_errors

    search_here(ctx.params["allow_imports"])
    with memory_errors():
        found = _check(experiment)
    if as_json:
        show_json(found.to_mapping())
    else:
        show(check_table(found))
    show_next("raytune-pipe", "launch" if found.ok else "check", *again, as_json=as_json)
    if not found.ok:
        ctx.exit(FAILED_EXIT)


def _check(experiment: "Experiment") -> "TrialCheck":
    from raytune_pipe.training.trial_check import check_trial

    return check_trial(
        experiment.trial,
        experiment.search_space,
        _place(experiment),
        lambda what: echo(f"looking at: {what}", err=True),
    )


def _place(experiment: "Experiment") -> "Place":
    """What the experiment gives a worker, or all there is here where a cluster is to have more."""
    from raytune_pipe.base import ClusterError
    from raytune_pipe.training.trial_check_runs import Place
    from raytune_pipe.tuning.cluster import local_cluster

    one = experiment.resources.model_copy(update={"workers": 1})
    try:
        request = local_cluster().request(one)
    except ClusterError:
        return Place()
    return Place(request.device, max(1, int(request.worker["CPU"])))
