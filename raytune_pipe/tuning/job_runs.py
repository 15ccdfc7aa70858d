"""The runs that lie where a cluster's jobs run, reached through short helper jobs."""

import json
from typing import Any, NamedTuple

from raytune_pipe.base import (
    ClusterError,
    ConfigError,
    NameTakenError,
    RaytunePipeError,
    ResultsError,
)
from raytune_pipe.tuning.job_python import HeadPython, require_python
from raytune_pipe.tuning.jobs import JobInfo, Jobs, UnknownJobError


class RemoteRun(NamedTuple):
    """A run there, and the job that was named, if one was."""

    path: str
    name: str
    env_passthrough: tuple[str, ...]
    job: JobInfo | None


def is_folder(target: str) -> bool:
    """Whether what was named is a folder there, not a job."""
    return target.startswith("/") or "://" in target


def python_of(jobs: Jobs, info: JobInfo | None) -> HeadPython:
    """The head's interpreter: the one that a job was started with, or else looked for."""
    executable = info.metadata.get("python") if info else None
    return HeadPython(executable) if executable else require_python(jobs)


def remote_run(jobs: Jobs, target: str) -> RemoteRun:
    """The run that a job has run, or that lies in a folder there.

    Raises:
        UnknownJobError: there is no such job.
        RaytunePipeError: it has begun no run, or the folder is none.
    """
    info = None if is_folder(target) else our_job(jobs, target)
    python = python_of(jobs, info)
    if info is None:
        words = ["--path", target]
    elif path := info.metadata.get("run"):
        words = ["--path", path]
    else:
        words = ["--job", info.job]
        words += [word for key in ("storage", "name") for word in (f"--{key}", info.metadata[key])]
    told = ask(jobs, python.module("tuning.job_side", "run", *words))
    return RemoteRun(told["path"], told["name"], tuple(told["env_passthrough"]), info)


def our_job(jobs: Jobs, job: str) -> JobInfo:
    """A job that this package has submitted.

    Raises:
        UnknownJobError: there is none, or another has submitted it.
    """
    info = jobs.info(job)
    if "name" not in info.metadata or not info.metadata.keys() & {"storage", "run"}:
        raise UnknownJobError(
            f"{job}: must be a job that raytune-pipe has submitted, but another has; see `ray job "
            f"logs {job} --address {jobs.address}`"
        )
    return info


def ask(jobs: Jobs, entrypoint: str) -> dict[str, Any]:
    """What a helper's last line of JSON tells.

    Raises:
        RaytunePipeError: its error.
        ClusterError: it told nothing.
    """
    answer = jobs.run(entrypoint)
    for line in reversed(answer.output.splitlines()):
        if line.startswith("{"):
            try:
                told = json.loads(line)
            except ValueError:
                break
            if "error" in told:
                raise _error(str(told["error"]), int(told["exit_code"]))
            return dict(told)
    last = answer.output.strip().rpartition("\n")[2] or "nothing"
    raise ClusterError(
        f"--address {jobs.address}: the head must answer a helper, but it ended with exit code "
        f"{answer.exit_code} and: {last}"
    )


def _error(message: str, exit_code: int) -> RaytunePipeError:
    """The error that was raised there."""
    kinds: tuple[type[RaytunePipeError], ...] = (ConfigError, NameTakenError, ClusterError)
    kind = next((one for one in kinds if one.exit_code == exit_code), ResultsError)
    return kind(message)
