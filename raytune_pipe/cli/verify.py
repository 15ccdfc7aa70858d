"""The command that checks the files of a run: verify."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.options import json_option
from raytune_pipe.cli.output import show, show_json, show_next
from raytune_pipe.cli.run_folder import RunLocation

if TYPE_CHECKING:
    from raytune_pipe.results.verifying import Verification


@click.command()
@click.argument("run", metavar="DIR", type=RunLocation())
@click.option(
    "--repair",
    is_flag=True,
    help="Rebuild what follows from the journal, cut off its torn tail, remove temporary files.",
)
@json_option
@click.pass_context
def verify(ctx: click.Context, run: Path | str, repair: bool, as_json: bool) -> None:
    """Check every file of a run against its hash and the journal.

    Writes nothing, unless it is to repair.
    """
    from raytune_pipe.base import ResultsError
    from raytune_pipe.results.verifying import repair_run, verify_run

    found = repair_run(run) if repair else verify_run(run)
    if as_json:
        show_json(found.to_mapping())
    else:
        _show(found)
    after = ("verify", str(run), "--repair") if found.is_repairable else ("analyze", str(run))
    show_next("raytune-pipe", *after, as_json=as_json)
    if found.problems:
        ctx.exit(ResultsError.exit_code)


def _show(found: "Verification") -> None:
    """The problems, line by line, and how much was looked at."""
    for problem in found.repaired:
        show(f"repaired: {problem.path}: {problem.what}")
    for problem in found.problems:
        show(f"{'repairable' if problem.repairable else 'damaged'}: {problem.path}: {problem.what}")
    count = len(found.problems)
    verdict = f"{count} problem{'s' * (count > 1)}" if count else "ok"
    show(f"{verdict}: {found.events:,} events and {found.files:,} files checked")
