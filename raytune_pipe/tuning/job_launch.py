"""Launching a run, or going on with one, as a job of a cluster."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raytune_pipe.base import ConfigError
from raytune_pipe.tuning.cluster import require_variables
from raytune_pipe.tuning.job_python import HeadPython
from raytune_pipe.tuning.job_upload import Upload
from raytune_pipe.tuning.jobs import JOB_VARIABLE, Jobs, new_job

_EXPANDED = re.compile(r"\$\w|\$\{")


@dataclass(frozen=True)
class JobRequest:
    """What a job is to do."""

    name: str
    """The experiment's."""
    words: Sequence[str]
    """The command of this package that it runs, as it is typed on the head."""
    upload: Upload
    env_passthrough: Sequence[str]
    """Names of environment variables that the job gets, with the values here."""
    metadata: Mapping[str, str]
    """What other commands need to know of it: where its run lies."""


def passed_variables(names: Sequence[str]) -> dict[str, str]:
    """The variables that a job gets, with their values here.

    Raises:
        ConfigError: one is not set, or Ray would change it on the way.
    """
    require_variables(names)
    values = {name: os.environ[name] for name in names}
    for name, value in values.items():
        if _EXPANDED.search(value):
            raise ConfigError(
                f"env_passthrough: the value of {name} must not hold $NAME or ${{NAME}}, which Ray "
                "replaces by the head's variables; put the value into a file that the job reads"
            )
    return values


def submit(jobs: Jobs, python: HeadPython, request: JobRequest) -> str:
    """Send what travels, start the job, and give its name.

    Raises:
        ConfigError: a file cannot be read, or a variable cannot travel.
        ClusterError: the head does not take it.
    """
    job = new_job(request.name)
    variables = passed_variables(request.env_passthrough)
    metadata = {"name": request.name, "python": python.executable, **request.metadata}
    with tempfile.TemporaryDirectory(prefix="raytune-pipe-") as scratch:
        archive = Path(scratch) / "upload.zip"
        request.upload.write_zip(archive)
        jobs.submit(
            job,
            python.command(*request.words),
            working_dir=str(archive),
            variables={**variables, JOB_VARIABLE: job},
            metadata=metadata,
        )
    return job
