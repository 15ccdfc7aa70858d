"""Looking a cluster over from outside: doctor runs as a job on its head."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from raytune_pipe.base import ClusterError
from raytune_pipe.experiment import Experiment
from raytune_pipe.tuning.doctor_check import Check
from raytune_pipe.tuning.job_launch import passed_variables
from raytune_pipe.tuning.job_python import require_python
from raytune_pipe.tuning.job_upload import Upload
from raytune_pipe.tuning.jobs import Jobs

WITHIN_S = 400.0
"""Seconds that the job has: what each node may take, and to send and unpack the working folder."""


def run_checks_as_job(
    address: str,
    experiment: Experiment | None,
    upload: Upload | None,
    words: Sequence[str],
    *,
    insecure: bool,
) -> list[Check]:
    """What the head finds out with `doctor.run_checks`.

    Args:
        address: the URL of its dashboard.
        experiment: what is to be launched there, if anything.
        upload: what travels with it, its file among it.
        words: further options of the command as it is typed on the head.
        insecure: look at one on another host too that demands no token.
    """
    try:
        variables = passed_variables(experiment.env_passthrough) if experiment else {}
        jobs = Jobs(address, insecure=insecure)
        file = [upload.experiment] if upload else []
        command = require_python(jobs).command(
            "doctor", *file, "--address", "auto", "--json", *words
        )
        with tempfile.TemporaryDirectory(prefix="raytune-pipe-") as scratch:
            folder = None
            if upload:
                folder = str(Path(scratch) / "upload.zip")
                upload.write_zip(Path(folder))
            answer = jobs.run(command, WITHIN_S, working_dir=folder, variables=variables)
    except ClusterError as error:
        return [Check("head", "fail", str(error), "see the message")]
    return _checks(answer.output)


def _checks(output: str) -> list[Check]:
    """The checks in what a job has printed; or one that fails, with its last line."""
    lines = output.strip().splitlines()
    for line in lines:
        if line.startswith('{"checks"'):
            return [Check.from_mapping(each) for each in json.loads(line)["checks"]]
    last = lines[-1] if lines else "nothing"
    return [Check("head", "fail", f"doctor must run there, but got: {last}", "see the message")]
