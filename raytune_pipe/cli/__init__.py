"""The command line: a thin command for each thing that the library does."""

import click

from raytune_pipe.cli.advise import advise
from raytune_pipe.cli.check import check
from raytune_pipe.cli.control import logs, status, stop, watch
from raytune_pipe.cli.doctor import doctor
from raytune_pipe.cli.experiments import plan, reference, schema, validate
from raytune_pipe.cli.fetch import fetch
from raytune_pipe.cli.importing import import_
from raytune_pipe.cli.launch import launch
from raytune_pipe.cli.program import Program
from raytune_pipe.cli.results import analyze, best
from raytune_pipe.cli.resume import resume
from raytune_pipe.cli.train import train
from raytune_pipe.cli.verify import verify

__all__ = ["main"]


@click.group(cls=Program)
@click.version_option(package_name="raytune-pipe")
def main() -> None:
    """Tune the hyperparameters of a PyTorch model, and learn which of them matter."""


for command in (validate, check, plan, train, launch, resume, analyze, best, verify, import_):
    main.add_command(command)
main.add_command(reference)
main.add_command(advise)
main.add_command(doctor)
main.add_command(schema)
for command in (status, watch, logs, stop, fetch):  # of a run that any process runs
    main.add_command(command)
