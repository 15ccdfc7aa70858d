"""The command that runs an experiment on Ray."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.addresses import chosen
from raytune_pipe.cli.check import check_first, check_option
from raytune_pipe.cli.cluster_files import cluster_options, launch_on
from raytune_pipe.cli.jobs import Watching, detach_option, job_words, launch_job
from raytune_pipe.cli.options import (
    allowed_imports,
    experiment_options,
    given,
    import_words,
    json_option,
    search_here,
    strict_option,
)
from raytune_pipe.cli.output import show_next
from raytune_pipe.cli.program import INTERRUPTED
from raytune_pipe.cli.resume import extension_of, go_on
from raytune_pipe.cli.run_folder import own_folder, run_of
from raytune_pipe.cli.running import (
    Ending,
    address_option,
    analyze_option,
    follow,
    insecure_option,
    steal_lock_option,
    wait_option,
)
from raytune_pipe.cli.warnings import warn

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.results.events import Event


@click.command()
@experiment_options
@click.option("--name", help="Name of the run's folder, instead of the file's.")
@click.option("--new", is_flag=True, help="If the name is taken, take the first free NAME-2, ...")
@click.option("--resume", is_flag=True, help="If the name is taken by this experiment, go on.")
@steal_lock_option
@address_option
@insecure_option
@wait_option
@cluster_options
@detach_option
@check_option
@analyze_option
@strict_option
@json_option
@click.pass_context
def launch(
    ctx: click.Context,
    experiment: "Experiment",
    again: list[str],
    name: str | None,
    new: bool,
    resume: bool,
    steal_lock: bool,
    address: str | None,
    insecure: bool,
    wait: bool,
    cluster: Path | None,
    dry_run: bool,
    detach: bool,
    check: bool,
    analyze: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Run an experiment on Ray.

    All its trials, to the end or to Ctrl-C; what was found until then is kept.
    """
    _require_consistent(new=new, resume=resume, steal_lock=steal_lock)
    if name is not None:
        experiment = experiment.model_copy(update={"name": name})
    if check and not dry_run:
        check_first(ctx, experiment, again, as_json=as_json)
    if cluster is not None or dry_run:
        ctx.exit(launch_on(cluster, ctx, experiment, again, dry_run=dry_run))
    imports = ctx.params["allow_imports"]
    search_here(imports)
    file, overrides = ctx.params["file"], ctx.params["overrides"]
    warn(experiment, file, overrides, strict=strict, look_at_data=strict)
    where = chosen(address)
    if where.is_job or detach:
        words = job_words(ctx.params, allowed_imports(imports))
        watching = Watching(where, detach, as_json, insecure)
        ctx.exit(launch_job(experiment, file, overrides, words, watching))
    where.tell()
    reached = [*given("--address", address), *["--insecure"] * insecure, *["--wait"] * wait]
    options = [*reached, *import_words(imports)]
    ending = Ending(analyze=analyze, as_json=as_json, alone=again, options=options)
    run = run_of(experiment) if resume else Path(experiment.name)
    if resume and run.is_dir():
        extended = extension_of(experiment, run)
        go = partial(go_on, steal_lock=steal_lock, insecure=insecure, wait=wait, extended=extended)
        ctx.exit(go(run, where.value, imports, ending))
    words = [*again, *given("--name", name), *reached]
    words += ["--new"] if new else []
    how = {"address": where.value, "insecure": insecure, "wait": wait, "new": new}
    ctx.exit(_launch(experiment, how, words, ending))


def _require_consistent(*, new: bool, resume: bool, steal_lock: bool) -> None:
    if new and resume:
        raise click.UsageError("--new starts a run, --resume goes on with one: give one of them")
    if steal_lock and not resume:
        raise click.UsageError("--steal-lock goes on with a run: give --resume too")


def _launch(experiment: "Experiment", how: dict[str, Any], words: list[str], ending: Ending) -> int:
    """Launch, to the end or to a signal; the exit code. The words launch it again."""
    from raytune_pipe.tuning import runner

    outcome, first = follow(
        lambda shown: runner.launch(experiment, listener=shown.hear, **how),
        lambda first: _folder(experiment, first),
    )
    if outcome:
        ending.show(outcome)
        return outcome.exit_code
    run = _folder(experiment, first)
    if run:
        ending.show_interrupted(str(run))
    else:
        click.echo("interrupted before anything was written; to launch again:", err=True)
        show_next("raytune-pipe", "launch", *words, as_json=ending.as_json)
    return INTERRUPTED


def _folder(experiment: "Experiment", first: "Event | None") -> Path | None:
    """The folder of the run that began with this event, whose name `--new` may have chosen."""
    from raytune_pipe.base import ResultsError
    from raytune_pipe.results.journal import JOURNAL, recorded_experiment

    for run in own_folder(experiment).parent.glob(f"{experiment.name}*") if first else ():
        with suppress(ResultsError):  # of another run
            begun = recorded_experiment(run / JOURNAL)
            if begun and first and begun["time"] == first.get("time"):
                return run.absolute()
    return None


def _storage(experiment: "Experiment") -> Path:
    """The folder with the runs' folders, on this machine's disk where the storage is a bucket."""
    from raytune_pipe.results.locations import is_uri, local_folder

    storage = experiment.storage
    return local_folder(storage) if is_uri(storage) else Path(storage)
