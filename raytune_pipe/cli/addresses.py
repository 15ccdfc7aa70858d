"""Where a command runs: what `--address` says, or else Ray's own environment variables."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from raytune_pipe.cli.output import echo

_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""The first that is set counts."""
LOCAL = "local"
"""Ray's own word for an embedded Ray, whatever the environment says."""


@dataclass(frozen=True)
class Address:
    """An address and where it comes from."""

    value: str | None
    """None for an embedded local Ray."""
    source: str | None
    """--address, or the name of an environment variable."""

    @property
    def is_job(self) -> bool:
        """Whether it is that of a head that takes jobs."""
        from raytune_pipe.tuning.jobs import is_job_address

        return self.value is not None and is_job_address(self.value)

    def is_for(self, target: str | PathLike[str]) -> bool:
        """Whether it is where a job is to be looked for, or a folder: not a folder of this machine.

        Where the command line does not say it, what is there as a folder here is meant.
        """
        return self.is_job and (self.is_given or not Path(target).exists())

    @property
    def is_given(self) -> bool:
        """Whether the command line has it."""
        return self.source == "--address"

    def tell(self) -> None:
        """Say on stderr which address is used, where the command line does not show it."""
        if self.value is not None and not self.is_given:
            echo(f"note: --address {self.value}, from {self.source}", err=True)


def chosen(address: str | None) -> Address:
    """What `--address` says; without it RAY_API_SERVER_ADDRESS, then RAY_ADDRESS."""
    found, source = address, "--address"
    for name in _VARIABLES:
        if found is None and os.environ.get(name):
            found, source = os.environ[name], name
            if name == _VARIABLES[0] and "://" not in found:
                found = f"http://{found}"  # as Ray reads it
    if found is None or found == LOCAL:
        return Address(None, None)
    return Address(found, source)
