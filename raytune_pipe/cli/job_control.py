"""status, logs, stop and watch for a run that a cluster's job runs, from anywhere."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.addresses import Address
from raytune_pipe.cli.jobs import Watching, connect, follow_job, show_end
from raytune_pipe.cli.output import echo, show, show_json, show_next

if TYPE_CHECKING:
    from raytune_pipe.tuning.jobs import JobInfo, Jobs

STOPS_WITHIN_S = 60.0
"""Seconds that a job has to end after it was asked to; Ray kills it after 40."""


def show_job_status(target: str | None, address: Address, *, as_json: bool) -> None:
    """Show how a job, or the run in a folder there, stands; or all jobs."""
    jobs = connect(address)
    if target is None:
        _show_all(jobs, as_json=as_json)
        return
    info, path = _found(jobs, target)
    about = {"job": info.job, "job_state": info.state} if info else {}
    if as_json:
        run = json.loads(_said(jobs, info, "status", path, "--json")) if path else {}
        show_json({**run, **about, "message": info.message if info and not path else None})
    else:
        if info:
            show(f"job {info.job}: {info.state}{'' if path else f' ({info.message})'}")
        if path:
            show(_said(jobs, info, "status", path))
    after = "watch" if info and not info.has_ended else "fetch" if path else "logs"
    show_next("raytune-pipe", after, target, "--address", jobs.address, as_json=as_json)


def show_job_logs(target: str, trial: str | None, address: Address) -> None:
    """Show what a job has printed, or what its run's journal tells of one trial."""
    from raytune_pipe.cli.job_lines import read
    from raytune_pipe.tuning.jobs import is_rays

    jobs = connect(address)
    info, path = _found(jobs, target)
    if path and (trial is not None or info is None):
        words = () if trial is None else ("--trial", trial)
        show(_said(jobs, info, "logs", path, *words))
    elif info:
        for line in jobs.log(info.job).splitlines():
            if read(line) is None and not is_rays(line):
                echo(line)
    show_next("raytune-pipe", "status", target, "--address", jobs.address)


def watch_job(target: str, address: Address) -> int:
    """Watch a job to its end; the exit code of its run."""
    return follow_job(connect(address), target, Watching(address))


def stop_job(target: str, address: Address, *, now: bool) -> int:
    """End a job as Ctrl-C would; 0 once it has ended."""
    from raytune_pipe.base import ClusterError
    from raytune_pipe.tuning.job_runs import is_folder

    jobs = connect(address)
    info, path = _found(jobs, target)
    if path and (now or is_folder(target)):
        show(_said(jobs, info, "stop", path, *(["--now"] if now else [])))
        return 0
    if info is None or info.has_ended:
        click.echo("nothing to stop: the job has ended", err=True)
    else:
        echo(f"ending job {info.job}", err=True)
        jobs.stop(info.job)
        info = jobs.wait(info.job, STOPS_WITHIN_S)
    if info and not info.has_ended:
        raise ClusterError(
            f"{target}: must end within {STOPS_WITHIN_S:g} s, but has not; to end it at once: "
            f"raytune-pipe stop {target} --now --address {jobs.address}"
        )
    if info:
        show_end(jobs, info)
    return 0


def _found(jobs: "Jobs", target: str) -> "tuple[JobInfo | None, str | None]":
    """The job of that name and its run's folder, or the folder alone; None where there is none."""
    from raytune_pipe.base import ResultsError
    from raytune_pipe.cli.job_view import view_of
    from raytune_pipe.tuning.job_runs import is_folder, our_job, remote_run

    if is_folder(target):
        return None, target
    info = our_job(jobs, target)
    path = info.metadata.get("run") or view_of(jobs.log(info.job)).path
    if path is None and info.has_ended:  # its log may be lost, its journal is not
        try:
            path = remote_run(jobs, target).path
        except ResultsError:
            path = None
    return info, path


def _said(jobs: "Jobs", info: "JobInfo | None", *words: str) -> str:
    """What a command of this package prints there, without the command that comes next there."""
    from raytune_pipe.base import ClusterError
    from raytune_pipe.tuning.job_runs import python_of

    answer = jobs.run(python_of(jobs, info).command(*words))
    lines = [line for line in answer.output.splitlines() if not line.startswith("next: ")]
    if answer.exit_code:
        raise ClusterError("\n".join(lines) or f"the helper ended with {answer.exit_code}")
    return "\n".join(lines)


def _show_all(jobs: "Jobs", *, as_json: bool) -> None:
    """The jobs that this package has submitted there."""
    infos = jobs.all()
    if as_json:
        show_json({"jobs": [{"job": one.job, "state": one.state} for one in infos]})
    else:
        show(*[f"{one.job}  {one.state}" for one in infos] or ["no jobs of raytune-pipe"])
    words: Sequence[Any] = ("status", infos[-1].job) if infos else ("launch", "FILE")
    show_next("raytune-pipe", *words, "--address", jobs.address, as_json=as_json)
