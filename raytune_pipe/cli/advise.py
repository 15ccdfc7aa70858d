"""The command that shows the advised ranges."""

import click

from raytune_pipe.cli.options import json_option
from raytune_pipe.cli.output import show, show_json, show_next


@click.command()
@click.argument("path", required=False)
@json_option
def advise(path: str | None, as_json: bool) -> None:
    """Show the ranges that practitioners advise, and why.

    Of all hyperparameters that there is advice on, or of those at and beneath PATH, such as
    optimizer.lr or optimizer. In a search space, {kind: advised} takes the range.
    """
    from raytune_pipe.advice import advice_at
    from raytune_pipe.report.advice_report import advice_report

    rows = advice_at(path)
    if as_json:
        show_json([advice.to_mapping() for advice in rows])
    else:
        show(advice_report(rows))
    taken = f"search_space.{rows[0].path}={{kind: advised}}"
    show_next("raytune-pipe", "plan", "EXPERIMENT.yaml", "--set", taken, as_json=as_json)
