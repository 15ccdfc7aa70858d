"""Commands about experiment files that start nothing: validate, plan, schema, reference."""

from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.options import (
    experiment_options,
    given,
    json_option,
    strict_option,
)
from raytune_pipe.cli.output import show, show_json, show_next
from raytune_pipe.cli.running import insecure_option

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment


@click.command()
@experiment_options
@strict_option
@json_option
@click.pass_context
def validate(
    ctx: click.Context, experiment: "Experiment", again: list[str], strict: bool, as_json: bool
) -> None:
    """Check an experiment file, and its model and loss on its data.

    Shows all its errors at once, each with its place, and warns of the traps that it is in.
    """
    from raytune_pipe.cli.warnings import warn

    experiment.plan()
    trials, searched = experiment.trials, experiment.space().names
    file, overrides = ctx.params["file"], ctx.params["overrides"]
    warnings = warn(experiment, file, overrides, strict=strict, look_at_data=True)
    if as_json:
        about = {"name": experiment.name, "trials": trials, "searched": searched}
        show_json({**about, "warnings": warnings})
    else:
        names = f" ({', '.join(searched)})" if searched else ""
        show(f"ok: {experiment.name}, {trials} trials, {len(searched)} searched{names}")
    show_next("raytune-pipe", "plan", *again, as_json=as_json)


@click.command()
@experiment_options
@click.option("--resources", is_flag=True, help="Say as well how many trials run at once.")
@click.option("--address", help="The Ray cluster to count resources of (auto, HOST:PORT).")
@insecure_option
@json_option
def plan(
    experiment: "Experiment",
    again: list[str],
    resources: bool,
    address: str | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Show what a launch will do.

    Trials, decisions, epochs, and how each hyperparameter is searched.
    """
    from raytune_pipe.report.plan_table import plan_mapping, plan_table

    planned = experiment.plan()
    slots = _slots(experiment, address, insecure) if resources or address is not None else None
    if as_json:
        show_json(plan_mapping(experiment, planned, slots))
    else:
        show(plan_table(experiment, planned, slots))
    reached = [*given("--address", address), *["--insecure"] * insecure]
    show_next("raytune-pipe", "launch", *again, *reached, as_json=as_json)


def _slots(experiment: "Experiment", address: str | None, insecure: bool) -> int:
    """How many of its trials run at once here, or on the cluster at the address."""
    from raytune_pipe.tuning.cluster import connected, local_cluster

    if address is None:
        return local_cluster().slots(experiment.resources)
    with connected(address, insecure=insecure) as cluster:
        return cluster.slots(experiment.resources)


@click.command()
def schema() -> None:
    """Print the JSON schema of experiment files."""
    import json

    from raytune_pipe.experiment import experiment_schema

    click.echo(json.dumps(experiment_schema(), indent=2, ensure_ascii=False))


@click.command()
def reference() -> None:
    """Print every component and field of experiment files, in Markdown."""
    from raytune_pipe.report.reference_page import reference_page

    click.echo(reference_page(), nl=False)
