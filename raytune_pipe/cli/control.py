"""Commands for a run that another process runs, or has run: status, watch, logs, stop."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from raytune_pipe.cli.addresses import chosen
from raytune_pipe.cli.job_control import show_job_logs, show_job_status, stop_job, watch_job
from raytune_pipe.cli.options import json_option, run_argument
from raytune_pipe.cli.output import console, echo, show, show_json, show_next
from raytune_pipe.cli.run_folder import RunFolder
from raytune_pipe.cli.running import address_option

if TYPE_CHECKING:
    from raytune_pipe.cli.live_state import LiveState
    from raytune_pipe.results.events import DecisionRecord, Event

STOP_PATIENCE_S = 60.0
"""How long `stop` waits for the run to end; a run that drains takes seconds."""


@click.command()
@click.argument("target", metavar="[DIR|STORAGE]", default="results", type=RunFolder())
@address_option
@json_option
@click.pass_context
def status(ctx: click.Context, target: Path, address: str | None, as_json: bool) -> None:
    """Show how a run stands, or all runs of a storage folder.

    Running, finished, interrupted or killed; its trials, the best so far. Without a folder: the
    runs in ./results. With --address http://... a job of that cluster, or all its jobs.
    """
    where = chosen(address)
    if where.is_for(target):
        named = ctx.get_parameter_source("target") == ParameterSource.COMMANDLINE
        show_job_status(str(target) if named else None, where, as_json=as_json)
        return
    from raytune_pipe.cli import run_status
    from raytune_pipe.results.files import storage_errors
    from raytune_pipe.results.journal import JOURNAL

    with storage_errors(target):
        is_run = (target / JOURNAL).is_file()
    if is_run:
        found = run_status.run_status(target)
        result, table = found.to_mapping(), run_status.status_table(found)
        after = found.next_words
    else:
        runs = run_status.run_statuses(target)
        result = {"runs": [one.to_mapping() for one in runs]}
        table = run_status.statuses_table(runs)
        after = ("raytune-pipe", "status", str(runs[-1].path))
    show_json(result) if as_json else show(table)
    show_next(*after, as_json=as_json)


@click.command()
@run_argument
@address_option
@click.pass_context
def watch(ctx: click.Context, run: Path, address: str | None) -> None:
    """Watch a run as its launch shows it, to its end.

    From any shell that sees its folder. With --address http://... DIR is a job of that cluster; the
    exit code is then that of its run.
    """
    where = chosen(address)
    if where.is_for(run):
        ctx.exit(watch_job(str(run), where))
    from raytune_pipe.cli.live import display
    from raytune_pipe.results.control import follow
    from raytune_pipe.results.journal import journal_of
    from raytune_pipe.results.lock import is_held

    journal_of(run)
    if is_held(run):
        with display(console(stderr=True)) as shown:
            for event in follow(run):
                shown.hear(event)
    _show_status(run)


@click.command()
@run_argument
@click.option("--trial", metavar="ID", help="All of one trial: reports, decisions, traceback.")
@address_option
def logs(run: Path, trial: str | None, address: str | None) -> None:
    """Tell what happened in a run, a line each with its time.

    With --address http://... DIR is a job of that cluster: all that it has printed.
    """
    where = chosen(address)
    if where.is_for(run):
        show_job_logs(str(run), trial, where)
        return
    from raytune_pipe.cli.live_state import UNFIT, LiveState
    from raytune_pipe.results.journal import journal_of, read_events

    progress = LiveState()
    for event in read_events(journal_of(run)):
        progress.apply(event)
        for line in _told(event, progress, trial):
            echo(f"{_clock(progress.now)}  {line}")
    if trial is not None:
        _require_planned(trial, progress)
    unfit = [one for one, status in progress.status.items() if status in UNFIT and trial is None]
    after = ("logs", str(run), "--trial", unfit[0]) if unfit else ("status", str(run))
    show_next("raytune-pipe", *after)


@click.command()
@run_argument
@click.option("--now", is_flag=True, help="Do not wait: SIGTERM, and SIGKILL 10 s later.")
@address_option
@click.pass_context
def stop(ctx: click.Context, run: Path, now: bool, address: str | None) -> None:
    """End a run that another process runs; it can be resumed.

    As Ctrl-C there: what was found until then is published. With --address http://... DIR is a job
    of that cluster.
    """
    where = chosen(address)
    if where.is_for(run):
        ctx.exit(stop_job(str(run), where, now=now))
    from raytune_pipe.results import control
    from raytune_pipe.results.journal import journal_of
    from raytune_pipe.results.lock import describe_holder, is_held

    journal_of(run)
    if is_held(run):
        echo(f"ending {describe_holder(run)}", err=True)
        control.end_now(run) if now else control.request_stop(run)
    else:
        click.echo("nothing to stop: no process runs it", err=True)
    if control.has_ended(run, STOP_PATIENCE_S):
        control.take_stop_request(run)  # it may have ended by itself
        _show_status(run)
    else:
        click.echo(f"it has not ended within {STOP_PATIENCE_S:g} s; to end it at once:", err=True)
        show_next("raytune-pipe", "stop", str(run), "--now")


def _show_status(run: Path) -> None:
    """How the run stands now, and the command that comes next."""
    from raytune_pipe.cli.run_status import run_status, status_table

    found = run_status(run)
    show(status_table(found))
    show_next(*found.next_words)


def _require_planned(trial: str, progress: "LiveState") -> None:
    from raytune_pipe.base import ConfigError

    if trial not in progress.planned:
        known = sorted(progress.planned) or ["none"]
        raise ConfigError(
            f"--trial: must be a trial of the run, {known[0]} to {known[-1]}, but got {trial}"
        )


def _told(event: "Event", progress: "LiveState", trial: str | None) -> Iterator[str]:
    """What an event says of the run, or all that it says of one trial; a line each."""
    from raytune_pipe.cli.live_words import words

    if trial is None:
        yield from words(event, progress)
    elif event["event"] == "decision":
        for decision in event["decisions"]:
            if trial in (decision["trial"], decision["donor"]):
                yield _decided(decision)
    elif event["event"] == "report" and event["trial_id"] == trial:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in event["metrics"].items())
        yield f"{trial} report {event['report']}, epoch {event['epoch']:g}: {metrics}"
    elif event.get("trial_id") == trial:
        yield from words(event, progress)
        if event["event"] in ("retry", "end") and event["error"]:
            yield event["error"].rstrip()


def _decided(decision: "DecisionRecord") -> str:
    from raytune_pipe.cli.live_words import copied

    if decision["action"] == "exploit":
        return copied(decision)
    verb = {"go_on": "goes on", "stop": "is stopped", "wait": "waits"}[decision["action"]]
    rung = "" if decision["rung"] is None else f" at rung {decision['rung']:g}"
    cutoff = "" if decision["cutoff"] is None else f" (cutoff {decision['cutoff']:.4g})"
    return f"{decision['trial']} {verb}{rung}{cutoff}"


def _clock(seconds: float) -> str:
    """A time as this machine's clock shows it."""
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", timespec="seconds")
