"""Launching and resuming as a job of a cluster, and following it from here to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.addresses import Address
from raytune_pipe.cli.options import given, import_words
from raytune_pipe.cli.output import console, echo, show, show_json, show_next
from raytune_pipe.cli.program import INTERRUPTED

if TYPE_CHECKING:
    from rich.table import Table

    from raytune_pipe.cli.job_view import JobView
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.tuning.job_launch import JobRequest
    from raytune_pipe.tuning.jobs import JobInfo, Jobs

KILLED = 137
"""The exit code of a job that was killed, as a shell counts it: 128 + SIGKILL."""
STOPPED = 143
"""Likewise of one that was stopped before it could tell: 128 + SIGTERM."""

detach_option = click.option(
    "--detach", is_flag=True, help="With --address http://...: return once the job is submitted."
)


@dataclass(frozen=True)
class Watching:
    """How a job is followed from here."""

    address: Address
    detach: bool = False
    as_json: bool = False
    insecure: bool = True
    """Take a head on another host that demands no token: those who only look may."""


def job_words(options: Mapping[str, Any], imports: Sequence[str]) -> list[str]:
    """The options of `launch` or `resume` as they are typed again where the job runs."""
    words = [*given("--name", options.get("name")), *import_words(imports)]
    flags = ("new", "resume", "steal_lock", "insecure", "wait", "analyze")
    return words + [f"--{each.replace('_', '-')}" for each in flags if options.get(each)]


def launch_job(
    experiment: "Experiment",
    file: Path,
    overrides: Sequence[str],
    words: Sequence[str],
    watching: Watching,
) -> int:
    """Launch an experiment as a job; the exit code.

    ``words`` are the options of `launch`, beside those that name the experiment.

    Raises:
        ConfigError: the storage would be lost with the job, or what travels is too much.
        ClusterError: the head is not there, or not as it must be.
    """
    from raytune_pipe.tuning.job_launch import JobRequest, passed_variables
    from raytune_pipe.tuning.job_upload import collect

    require_job(watching.address)
    _require_lasting(experiment.storage, file, overrides)
    experiment.plan()
    passed_variables(experiment.env_passthrough)
    upload = collect(Path.cwd(), file)
    sets = [word for each in overrides for word in ("--set", each)]
    request = JobRequest(
        experiment.name,
        ["launch", upload.experiment, *sets, *words, "--address", "auto"],
        upload,
        experiment.env_passthrough,
        {"storage": experiment.storage},
    )
    return _run(request, None, watching)


def resume_job(target: str, words: Sequence[str], watching: Watching) -> int:
    """Go on with the run of a job, or in a folder of the cluster, as a new job; the exit code.

    Raises:
        RaytunePipeError: there is no such run, or as `launch_job` does.
    """
    from raytune_pipe.tuning.job_launch import JobRequest
    from raytune_pipe.tuning.job_runs import python_of, remote_run
    from raytune_pipe.tuning.job_upload import collect

    jobs = connect(watching.address, insecure=watching.insecure)
    found = remote_run(jobs, target)
    request = JobRequest(
        found.name,
        ["resume", found.path, *words, "--address", "auto"],
        collect(Path.cwd(), None),
        found.env_passthrough,
        {"run": found.path},
    )
    return _run(request, (jobs, python_of(jobs, found.job)), watching)


def require_job(address: Address) -> None:
    """Raise a usage error where an address is not that of a head that takes jobs."""
    if not address.is_job:
        raise click.UsageError("this is for jobs: name a head by --address http://HOST:8265")


def connect(address: Address, *, insecure: bool = True) -> "Jobs":
    """The jobs of the cluster at an address; says where the address comes from.

    ``insecure`` takes a head on another host that demands no token: to look at it does no harm.
    """
    from raytune_pipe.tuning.jobs import Jobs

    require_job(address)
    address.tell()
    return Jobs(str(address.value), insecure=insecure)


def follow_job(jobs: "Jobs", job: str, watching: Watching) -> int:
    """Show a job until it ends, and what it has come to; the exit code of its run."""
    from raytune_pipe.cli.job_view import JobView, job_display
    from raytune_pipe.tuning.job_follow import ConnectionLostError, follow_log

    view = JobView()
    try:
        with job_display(view, console(stderr=True)) as hear:
            info = follow_log(jobs, job, hear)
    except KeyboardInterrupt:
        click.echo(f"left alone; {job} goes on", err=True)
        show_commands(jobs, job, as_json=True)
        return INTERRUPTED
    except ConnectionLostError as error:
        echo(f"{error}; {job} goes on without it", err=True)
        show_commands(jobs, job, as_json=True)
        return error.exit_code
    return _show_end(jobs, info, view, watching)


def show_commands(jobs: "Jobs", job: str, *, as_json: bool) -> None:
    """The commands for a job that goes on."""
    for command, aim in (("stop", "to stop it"), ("fetch", "to fetch what it has found")):
        echo(f"{aim}: raytune-pipe {command} {job} --address {jobs.address}", err=as_json)
    show_next("raytune-pipe", "watch", job, "--address", jobs.address, as_json=as_json)


def end_of(info: "JobInfo", view: "JobView") -> tuple[int, str | None]:
    """The exit code and the error of a job's run.

    As its ``status.json`` tells them; where it ended before it had one, or was killed, as its
    process's exit does.
    """
    if view.status is not None and view.status.get("exit_code") is not None:
        return int(view.status["exit_code"]), view.status.get("error")
    if info.exit_code is None:
        return (STOPPED, "stopped") if info.state == "STOPPED" else (1, _first_line(info.message))
    if info.exit_code < 0:
        return 128 - info.exit_code, f"its process was ended by signal {-info.exit_code}"
    return info.exit_code, None if info.exit_code == 0 else "see its last lines above"


def _run(request: "JobRequest", known: Any, watching: Watching) -> int:
    """Check the way to the head, send and start the job, and follow it."""
    from raytune_pipe.tuning.job_launch import submit
    from raytune_pipe.tuning.job_python import require_python

    echo(f"to be sent: {request.upload.summary()}", err=True)
    if known is None:
        jobs = connect(watching.address, insecure=watching.insecure)
        known = jobs, require_python(jobs)
    jobs, python = known
    job = submit(jobs, python, request)
    if not watching.detach:
        echo(f"job {job} is submitted to {jobs.address}", err=True)
        return follow_job(jobs, job, watching)
    if watching.as_json:
        show_json({"job": job, "address": jobs.address, "state": "submitted"})
    else:
        show(f"job {job} is submitted to {jobs.address}")
    show_commands(jobs, job, as_json=watching.as_json)
    return 0


def show_end(jobs: "Jobs", info: "JobInfo") -> None:
    """Show what a job that has ended has come to, as its log tells."""
    from raytune_pipe.cli.job_view import view_of

    view = view_of(jobs.log(info.job))
    _show_end(jobs, info, view, Watching(Address(None, None)))


def _show_end(jobs: "Jobs", info: "JobInfo", view: "JobView", watching: Watching) -> int:
    """Show what a job has come to, and the command that comes next; the exit code."""
    exit_code, error = end_of(info, view)
    if watching.as_json:
        about = {"job": info.job, "address": jobs.address, "path": view.path, "error": error}
        state = (view.status or {}).get("state", info.state.lower())
        show_json({**(view.result or {}), **about, "state": state, "exit_code": exit_code})
    else:
        show(_table(info, view, exit_code, error))
    can_go_on = exit_code not in (0, 3)
    after = "logs" if view.path is None else "resume" if can_go_on else "fetch"
    show_next("raytune-pipe", after, info.job, "--address", jobs.address, as_json=watching.as_json)
    return exit_code


def _table(info: "JobInfo", view: "JobView", exit_code: int, error: str | None) -> "Table":
    from rich.table import Table

    grid = Table.grid("", "", padding=(0, 2))
    grid.add_row("job", info.job)
    if view.path:
        grid.add_row("run", f"{view.path} (there)")
    state = (view.status or {}).get("state", info.state.lower())
    about = f" ({error})" if error else ""
    grid.add_row("state", f"{state}, exit code {exit_code}{about}")
    for label, text in view.rows:
        grid.add_row(label, text)
    return grid


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0]


def _require_lasting(storage: str, file: Path, overrides: Sequence[str]) -> None:
    """Raise `ConfigError` where the storage would be deleted with the job's folder."""
    from raytune_pipe.experiment_file.loading import located_error

    if not (storage.startswith("/") or "://" in storage):
        raise located_error(
            file,
            overrides,
            ("storage",),
            "must be absolute, such as /shared/results, or a URI, such as s3://bucket/results, "
            f"for a job, but got '{storage}': Ray deletes the folder in which a job runs",
        )
