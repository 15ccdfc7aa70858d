"""The command that looks a trial over before it is tuned: no Ray, no search."""

from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.options import experiment_options, json_option, search_here
from raytune_pipe.cli.output import echo, show, show_json, show_next

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.training.trial_check_costs import Planned
    from raytune_pipe.training.trial_check_findings import TrialCheck
    from raytune_pipe.training.trial_check_runs import Place

FAILED_EXIT = 3
"""Exit code where a check fails: the trial could be trained, but not to any use."""


check_option = click.option(
    "--check", is_flag=True, help="Look the trial over first, and launch only if nothing fails."
)
"""``--check``, given to the command as ``check``."""


@click.command()
@experiment_options
@json_option
@click.pass_context
def check(ctx: click.Context, experiment: "Experiment", again: list[str], as_json: bool) -> None:
    """Look the trial of a file over before it is tuned.

    On its own data and network, in seconds, without Ray: the loss before training, gradients,
    learning rates, a small sample learned by heart, what its data says of its targets, memory and
    time. Of a choice between components the trial's own is looked at. Exits 3 if anything fails.
    """
    from raytune_pipe.report.check_table import check_table

    search_here(ctx.params["allow_imports"])
    found = look_over(experiment)
    if as_json:
        show_json(found.to_mapping())
    else:
        show(check_table(found))
    show_next("raytune-pipe", "launch" if found.ok else "check", *again, as_json=as_json)
    if not found.ok:
        ctx.exit(FAILED_EXIT)


def check_first(
    ctx: click.Context, experiment: "Experiment", again: list[str], *, as_json: bool
) -> None:
    """Look the trial over, in a process of its own, and end the command if anything fails.

    What is found goes to stderr. The process that launches keeps its memory, and no GPU.

    Raises:
        TrialError: the process died.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from raytune_pipe.base import TrialError
    from raytune_pipe.report.check_table import check_table

    search_here(ctx.params["allow_imports"])
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            found = process.submit(look_over, experiment).result()
    except BrokenProcessPool as error:
        raise TrialError(
            "the check of the trial must come to its end, but its process died; for its last"
            " words, run raytune-pipe check"
        ) from error
    show(check_table(found), err=True)
    if not found.ok:
        click.echo("not launched, as a check of its trial fails; to check it again:", err=True)
        show_next("raytune-pipe", "check", *again, as_json=as_json)
        ctx.exit(FAILED_EXIT)


def look_over(experiment: "Experiment") -> "TrialCheck":
    """Look the trial of an experiment over, the progress on stderr."""
    from raytune_pipe.training.memory import memory_errors
    from raytune_pipe.training.trial_check import check_trial

    with memory_errors():
        return check_trial(
            experiment.trial,
            experiment.search_space,
            _place(experiment),
            _planned(experiment),
            lambda what: echo(f"looking at: {what}", err=True),
        )


def _place(experiment: "Experiment") -> "Place":
    """What the experiment gives a worker; a processor where only a cluster has as much."""
    import torch

    from raytune_pipe.base import ClusterError
    from raytune_pipe.training.trial_check_runs import Place
    from raytune_pipe.tuning.cluster import local_cluster

    one = experiment.resources.model_copy(update={"workers": 1})
    try:
        request = local_cluster().request(one)
    except ClusterError:
        return Place()
    device = request.device if torch.cuda.is_available() else "cpu"
    return Place(device, max(1, int(request.worker["CPU"])))


def _planned(experiment: "Experiment") -> "Planned":
    """The size of the whole experiment, and how many of its trials run at once here."""
    from raytune_pipe.base import ClusterError
    from raytune_pipe.training.trial_check_costs import Planned
    from raytune_pipe.tuning.cluster import local_cluster

    plan = experiment.plan()
    try:
        slots = local_cluster().slots(experiment.resources)
    except ClusterError:
        slots = 1
    drawn_later = experiment.trials - len(plan)
    epochs = sum(planned.trial.epochs for planned in plan) + drawn_later * experiment.trial.epochs
    return Planned(experiment.trials, epochs, min(slots, experiment.trials))
