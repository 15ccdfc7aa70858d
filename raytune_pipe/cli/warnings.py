"""Warnings about an experiment file before anything of it runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_pipe.cli.output import echo

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment


def warn(
    experiment: "Experiment",
    file: Path,
    overrides: Sequence[str],
    *,
    strict: bool,
    look_at_data: bool,
) -> list[str]:
    """Print the traps that an experiment is in, each with its place; their codes.

    Args:
        experiment: That of the file.
        file: What the places are of.
        overrides: As the command line has them.
        strict: Raise instead.
        look_at_data: Load the data and build the model for it as well, which takes seconds.

    Raises:
        ConfigError: parts of the trial do not fit its data, or, with ``strict``, there are traps.
    """
    from raytune_pipe.experiment_file.loading import located_errors
    from raytune_pipe.traps import traps
    from raytune_pipe.traps_of_data import data_traps

    found = traps(experiment)
    if look_at_data:
        problems, of_data = data_traps(experiment)
        if problems:
            located = [(problem.path, problem.message) for problem in problems]
            raise located_errors(file, overrides, located)
        found += of_data
    if found:
        about = "" if strict else "warning: "
        texts = [(trap.path, f"{about}{trap.message} [{trap.code}]") for trap in found]
        told = located_errors(file, overrides, texts)
        if strict:
            raise told
        echo(str(told), err=True)
    return [trap.code for trap in found]
