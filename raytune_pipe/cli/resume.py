"""The command that goes on with a run which was interrupted or killed."""

import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.addresses import chosen
from raytune_pipe.cli.jobs import Watching, detach_option, job_words, resume_job
from raytune_pipe.cli.options import (
    allowed_imports,
    given,
    import_words,
    imports_option,
    json_option,
    search_here,
)
from raytune_pipe.cli.program import INTERRUPTED
from raytune_pipe.cli.run_folder import RunFolder
from raytune_pipe.cli.running import (
    Ending,
    address_option,
    analyze_option,
    follow,
    insecure_option,
    steal_lock_option,
    wait_option,
)

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment

NAMES_OF_THE_FOLDER = ("name", "storage")
"""Fields that may differ: they say where the run lies, and it was found."""

EXTENSIONS = {"trials", "trial.epochs"}
"""Fields that may grow."""


@click.command()
@click.argument("run", metavar="DIR", type=RunFolder(to_go_on=True))
@steal_lock_option
@address_option
@insecure_option
@wait_option
@detach_option
@analyze_option
@imports_option
@json_option
@click.pass_context
def resume(
    ctx: click.Context,
    run: Path,
    steal_lock: bool,
    address: str | None,
    insecure: bool,
    wait: bool,
    detach: bool,
    analyze: bool,
    allow_imports: tuple[str, ...],
    as_json: bool,
) -> None:
    """Go on with a run that was interrupted or killed.

    Finished trials are kept, the others go on from their last checkpoint. A finished run is left as
    it is. With --address http://... DIR is a job, or a folder where jobs run.
    """
    where = chosen(address)
    if where.is_for(run) or detach:
        words = job_words(ctx.params, allowed_imports(allow_imports))
        ctx.exit(resume_job(str(run), words, Watching(where, detach, as_json, insecure)))
    where.tell()
    words = import_words(allow_imports)
    ending = Ending(
        analyze=analyze,
        as_json=as_json,
        alone=[str(run / "experiment.yaml"), *words],
        options=[
            *given("--address", address),
            *["--insecure"] * insecure,
            *["--wait"] * wait,
            *words,
        ],
    )
    go = partial(go_on, steal_lock=steal_lock, insecure=insecure, wait=wait)
    ctx.exit(go(run, where.value, allow_imports, ending))


def go_on(
    run: Path,
    address: str | None,
    allow_imports: tuple[str, ...],
    ending: Ending,
    *,
    steal_lock: bool,
    insecure: bool = False,
    wait: bool = False,
    extended: "Experiment | None" = None,
) -> int:
    """Go on with a run to its end, or to a signal; the exit code.

    ``extended`` is its experiment with more trials or more epochs.

    Raises:
        ConfigError: it imports what is not allowed, or cannot be extended like that.
        NameTakenError, ResultsError, ClusterError: as `runner.resume` does.
    """
    from raytune_pipe.experiment_file import require_allowed_imports
    from raytune_pipe.results.fetched import require_original
    from raytune_pipe.results.journal import JOURNAL, recorded_experiment
    from raytune_pipe.tuning import runner

    require_original(run)
    begun = recorded_experiment(run / JOURNAL)
    if begun:
        require_allowed_imports(begun["experiment"], allowed_imports(allow_imports))
    search_here(allow_imports)
    outcome, heard = follow(
        lambda shown: runner.resume(
            run,
            extended,
            address=address,
            listener=shown.hear,
            recorded=shown.recall,
            steal_lock=steal_lock,
            insecure=insecure,
            wait=wait,
        ),
        lambda _first: run.absolute(),
    )
    if outcome is None:
        ending.show_interrupted(str(run))
        return INTERRUPTED
    if not heard:
        click.echo("nothing to do: finished", err=True)
    ending.show(outcome)
    return outcome.exit_code


def extension_of(experiment: "Experiment", run: Path) -> "Experiment | None":
    """The experiment, if all that differs is its number of trials or of epochs; None if nothing.

    Raises:
        ConfigError: something differs; names the path, what is recorded and what the file has.
            Or the run is an imported one.
    """
    from raytune_pipe.base import ConfigError, to_json
    from raytune_pipe.results.described import require_launched
    from raytune_pipe.results.journal import JOURNAL, recorded_experiment

    begun, changes = recorded_experiment(run / JOURNAL), dict[str, str]()
    if begun:  # fields that have come since get their defaults, in which nothing differs
        require_launched(begun["experiment"], run)
        recorded = type(experiment).model_validate_json(to_json(begun["experiment"]))
        changes = dict(_changes(recorded.resolved(), experiment.resolved()))
    if changes.keys() <= EXTENSIONS:
        return experiment if changes else None
    raise ConfigError(
        f"{run}: the file must be as it was launched, but for more trials or more epochs, and "
        "differs (recorded -> file):\n  "
        + "\n  ".join(changes.values())
        + f"\ngo on as launched: raytune-pipe resume {shlex.quote(str(run))}, or launch what "
        "the file says now under another name: --name NAME, or --new"
    )


def _changes(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each path whose value differs, with a line that tells how."""
    before, after = dict(_flat(recorded)), dict(_flat(asked))
    for path in dict.fromkeys([*before, *after]):
        old, new = before.get(path, "nothing"), after.get(path, "nothing")
        if old != new and path not in NAMES_OF_THE_FOLDER:
            yield path, f"{path}: {old} -> {new}"


def _flat(plain: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value but null under its dotted path; an empty mapping is a value too."""
    for name, value in plain.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}.")
        elif value is not None:
            yield path, value
