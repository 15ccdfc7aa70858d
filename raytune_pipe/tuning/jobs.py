"""The jobs of one cluster, through Ray's own client of its Jobs API."""

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, NamedTuple

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.authentication import authenticate, require_authenticated
from raytune_pipe.tuning.reaching import FORMS, Head

JOB_VARIABLE = "RAYTUNE_PIPE_JOB"
"""The environment variable that tells a run which job it is."""

STOP_WAIT_S = 40
"""Seconds from SIGTERM to SIGKILL when a job is stopped; Ray's own 3 end no drain."""

_OURS = {
    JOB_VARIABLE: "",
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
    # The driver names variables for its workers again that the job has already.
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
}
_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
_POLL_S = 0.25
_OUTPUT = "raytune-pipe-output"
"""The line after which a helper's own output begins."""
_STARTING = "Running entrypoint for job "
_PREPARING = " -- Runtime env is setting up."


class UnknownJobError(ClusterError):
    """The cluster has no job of that name."""


class JobInfo(NamedTuple):
    """How a job stands, as Ray tells it."""

    job: str
    state: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    exit_code: int | None
    """Of its process; None while it runs, and where a signal ended it."""
    message: str
    metadata: Mapping[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.state in ("STOPPED", "SUCCEEDED", "FAILED")


class HelperOutput(NamedTuple):
    """What a helper has printed, stdout and stderr together, and its exit code."""

    output: str
    exit_code: int


class Jobs:
    """The jobs of the cluster whose head answers at an address."""

    def __init__(self, address: str, *, insecure: bool = False) -> None:
        """Check the way there first.

        With ``insecure``, take a head on another host too that demands no token.

        Raises:
            ClusterError: no head of our version answers there, the token is not its, or a package
                is missing here.
        """
        _require_packages()
        head = require_authenticated(address, insecure=insecure)
        _require_our_ray(head)
        authenticate(head)
        self.address = address.rstrip("/")
        with self._errors(), _without_other_addresses():
            from ray.job_submission import JobSubmissionClient

            rays = logging.getLogger("ray.dashboard")  # tells of each upload and connection
            rays.propagate = False
            rays.addHandler(logging.NullHandler())
            self._client = JobSubmissionClient(self.address)

    def submit(
        self,
        job: str,
        entrypoint: str,
        *,
        working_dir: str | None = None,
        variables: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Start a job under a name of its own.

        Args:
            entrypoint: one line for a shell; it is kept where others can read it.
            working_dir: a zip file of this machine, which is unpacked where the job runs.
            variables: environment variables of the job and of its workers.
        """
        environment: dict[str, Any] = {"env_vars": _OURS | {JOB_VARIABLE: job, **(variables or {})}}
        if working_dir:
            environment["working_dir"] = working_dir
        with self._errors():
            self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=job,
                runtime_env=environment,
                metadata=dict(metadata or {}),
            )

    def info(self, job: str) -> JobInfo:
        """How a job stands.

        Raises:
            UnknownJobError: there is none of that name.
        """
        with self._errors(job):
            return _info(self._client.get_job_info(job))

    def all(self) -> list[JobInfo]:
        """Those that this package has submitted, the newest last; helpers left out."""
        with self._errors():
            found = self._client.list_jobs()
        ours = [one for one in found if one.submission_id and "name" in (one.metadata or {})]
        return [_info(one) for one in sorted(ours, key=lambda one: one.start_time or 0)]

    def log(self, job: str) -> str:
        """All that a job has printed so far."""
        with self._errors(job):
            return str(self._client.get_job_logs(job))

    def tail(self, job: str) -> AsyncIterator[str]:
        """What a job has printed from its begin on, as it comes, until it ends.

        Raises whatever the connection does.
        """
        chunks: AsyncIterator[str] = self._client.tail_job_logs(job)
        return chunks

    def stop(self, job: str) -> None:
        """Ask a job to end: SIGTERM, and after `STOP_WAIT_S` SIGKILL."""
        with self._errors(job):
            self._client.stop_job(job)

    def run(
        self,
        entrypoint: str,
        within_s: float = 60.0,
        *,
        working_dir: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> HelperOutput:
        """Run a short command on the head, as a job of its own that is deleted afterwards.

        ``working_dir`` and ``variables`` are as in `submit`.

        Raises:
            ClusterError: it has not ended within the time.
        """
        job = f"raytune-pipe-helper-{secrets.token_hex(4)}"
        command = f"echo {_OUTPUT}; {entrypoint}"
        self.submit(job, command, working_dir=working_dir, variables=variables)
        try:
            info = self.wait(job, within_s)
            if not info.has_ended:
                raise ClusterError(
                    f"--address {self.address}: the head must run a helper within {within_s:g} s, "
                    f"but it is {info.state} still; look at the head's load, and try again"
                )
            return HelperOutput(
                _own_output(self.log(job)), 1 if info.exit_code is None else info.exit_code
            )
        finally:
            self._forget(job)

    def wait(self, job: str, within_s: float) -> JobInfo:
        """How a job stands once it has ended, or when the time is over."""
        deadline = time.monotonic() + within_s
        while not (info := self.info(job)).has_ended and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return info

    def _forget(self, job: str) -> None:
        with suppress(ClusterError):  # its end matters, not its trace
            if not self.info(job).has_ended:
                self.stop(job)
                self.wait(job, 10.0)
            with self._errors(job):
                self._client.delete_job(job)

    @contextmanager
    def _errors(self, job: str | None = None) -> Iterator[None]:
        """Turn what Ray's client raises into a `ClusterError` of one line."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            if job and "404" in str(error):
                raise UnknownJobError(
                    f"{job}: must be a job of the cluster at {self.address}, but is none; those it "
                    f"has: raytune-pipe status --address {self.address}"
                ) from error
            first_line = str(error).strip().partition("\n")[0][:300]
            raise ClusterError(
                f"--address {self.address}: the head must answer, but got: {first_line}"
            ) from error
        except Exception as error:
            from ray.exceptions import RayError

            if not isinstance(error, RayError):
                raise
            first_line = str(error).strip().partition("\n")[0]
            raise ClusterError(f"--address {self.address}: {first_line}") from error


def current_job() -> str | None:
    """The job that this process is run by; None where it is run by no job of ours."""
    return os.environ.get(JOB_VARIABLE) or None


def new_job(name: str) -> str:
    """A name for a job that no other has, which begins with the experiment's."""
    return f"{name}-{secrets.token_hex(3)}"


def _info(details: Any) -> JobInfo:
    return JobInfo(
        details.submission_id,
        str(getattr(details.status, "value", details.status)),
        details.driver_exit_code,
        details.message or "",
        details.metadata or {},
    )


def _own_output(log: str) -> str:
    """What a helper has printed, without Ray's lines, one of which may come late."""
    lines = log.splitlines()
    begin = lines.index(_OUTPUT) + 1 if _OUTPUT in lines else len(lines)
    return "\n".join(line for line in lines[begin:] if not is_rays(line))


def is_rays(line: str) -> bool:
    """Whether Ray itself has written a line into a job's log, to say that the job begins."""
    return line.startswith(_STARTING) or line.endswith(_PREPARING)


def is_job_address(address: str) -> bool:
    """Whether an address is that of a head that takes jobs, ``http://HOST:8265``."""
    return address.startswith(FORMS)


def _require_our_ray(head: Head) -> None:
    ours = version("ray")
    if head.ray != ours:
        raise ClusterError(
            f"--address {head.address}: Ray must have one version on both sides, but the head has "
            f'{head.ray} and this machine {ours}; here: pip install "ray[default]=={head.ray}"'
        )


def _require_packages() -> None:
    try:
        import aiohttp  # noqa: F401  # Ray's client fails without it where it is first used
        import requests  # noqa: F401  # likewise
    except ImportError as error:
        raise ClusterError(
            f"--address http://...: submitting jobs needs the package {error.name}, which is not "
            'installed; run: pip install "raytune-pipe[cluster]"'
        ) from error


@contextmanager
def _without_other_addresses() -> Iterator[None]:
    """Ray's client prefers the addresses of the environment to the one that it is given."""
    saved = {name: os.environ.pop(name) for name in _ADDRESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)
