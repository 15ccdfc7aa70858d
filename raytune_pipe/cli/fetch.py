"""The command that brings the results of a job to this machine: fetch."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.addresses import chosen
from raytune_pipe.cli.options import json_option
from raytune_pipe.cli.output import console, show, show_json, show_next
from raytune_pipe.cli.running import address_option

if TYPE_CHECKING:
    from raytune_pipe.tuning.job_fetch import Heard


@click.command()
@click.argument("job", metavar="JOB")
@click.option(
    "--to", "to", type=click.Path(path_type=Path), help="The new folder; else ./results/NAME."
)
@click.option("--checkpoints", is_flag=True, help="The checkpoints too, so that it can be resumed.")
@address_option
@json_option
def fetch(job: str, to: Path | None, checkpoints: bool, address: str | None, as_json: bool) -> None:
    """Bring the tables and the journal of a job's run to this machine.

    JOB is a job, or the folder of a run where jobs run. All files are checked; a copy that is here
    already is replaced by the newer one.
    """
    from raytune_pipe.cli.jobs import connect
    from raytune_pipe.tuning.job_fetch import Fetching
    from raytune_pipe.tuning.job_runs import python_of, remote_run

    jobs = connect(chosen(address))
    found = remote_run(jobs, job)
    target = to or Path("results") / PurePosixPath(found.path).name
    fetching = Fetching(jobs, python_of(jobs, found.job), found.path, checkpoints, _progress())
    verified = fetching.fetch(target)
    if as_json:
        show_json({"path": str(target.absolute()), "files": verified.files})
    else:
        show(f"fetched {verified.files:,} files of {found.path} into {target}")
    show_next("raytune-pipe", "analyze", str(target), as_json=as_json)


def _progress() -> "Heard":
    """Says how much has come, where there is more than one piece."""
    from raytune_pipe.tuning.job_upload import in_words

    shown = console(stderr=True)

    def heard(come: int, whole: int) -> None:
        if come < whole:
            shown.print(f"{in_words(come)} of {in_words(whole)}")

    return heard
