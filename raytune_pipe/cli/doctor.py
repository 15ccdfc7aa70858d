"""The command that looks a cluster over: doctor."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raytune_pipe.cli.addresses import Address, chosen
from raytune_pipe.cli.options import (
    given,
    import_words,
    imports_option,
    json_option,
    open_experiment,
    search_here,
)
from raytune_pipe.cli.output import echo, show, show_json, show_next
from raytune_pipe.cli.running import address_option, insecure_option

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.tuning.doctor_check import Check

FEW_NODES = 3
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@address_option
@insecure_option
@imports_option
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    file: Path | None,
    address: str | None,
    insecure: bool,
    allow_imports: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look a cluster over, or this machine, before an experiment is launched on it.

    With the experiment's FILE its storage, resources, variables and imported code too. Exits 6 if
    anything fails.
    """
    from raytune_pipe.base import ClusterError

    experiment = open_experiment(file, (), allow_imports) if file else None
    checks = _run(chosen(address), file, experiment, allow_imports, insecure)
    failed = any(check.verdict == "fail" for check in checks)
    if as_json:
        show_json({"ok": not failed, "checks": [check.to_mapping() for check in checks]})
    else:
        _show(checks)
    words = [*([str(file)] if file else []), *given("--address", address)]
    words += [*["--insecure"] * insecure, *import_words(allow_imports)]
    after = "doctor" if failed or not file else "launch"
    show_next("raytune-pipe", after, *words, as_json=as_json)
    if failed:
        ctx.exit(ClusterError.exit_code)


def _run(
    where: Address,
    file: Path | None,
    experiment: "Experiment | None",
    allow_imports: tuple[str, ...],
    insecure: bool,
) -> "list[Check]":
    """What is found from here, or by a job on the head of a cluster that takes jobs."""
    where.tell()
    if not where.is_job:
        from raytune_pipe.tuning.doctor import run_checks

        search_here(allow_imports)
        return run_checks(where.value, experiment, insecure=insecure)
    from raytune_pipe.tuning.job_doctor import run_checks_as_job
    from raytune_pipe.tuning.job_upload import collect

    upload = collect(Path.cwd(), file) if file else None
    if upload:
        echo(f"to be sent: {upload.summary()}", err=True)
    words = [*import_words(allow_imports), *["--insecure"] * insecure]
    return run_checks_as_job(str(where.value), experiment, upload, words, insecure=insecure)


def _show(checks: "list[Check]") -> None:
    """A line each, with the mend beneath, and the count of each verdict."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for check in checks:
        verdict = Text(check.verdict, style=STYLES[check.verdict])
        table.add_row(verdict, check.name, _where(check.nodes) + check.found)
        if check.mend:
            table.add_row("", "", f"mend: {check.mend}")
    counts = Counter[str](check.verdict for check in checks)
    show(table, ", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES))


def _where(nodes: tuple[str, ...]) -> str:
    """The nodes that a line is about, the first few by their address."""
    if not nodes:
        return ""
    distinct = list(dict.fromkeys(nodes))  # several nodes of one machine share its address
    more = len(distinct) - FEW_NODES
    return ", ".join(distinct[:FEW_NODES]) + (f" and {more} more" if more > 0 else "") + ": "
