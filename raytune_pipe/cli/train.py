"""The command that trains one trial: no Ray, no search."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import click

from raytune_pipe.cli.options import experiment_options, json_option, search_here
from raytune_pipe.cli.output import console, show, show_json, show_next

if TYPE_CHECKING:
    from rich.table import Table

    from raytune_pipe.experiment import Experiment
    from raytune_pipe.training.trainer import EpochReport, Trainer

DIVERGED_EXIT = 3
"""Exit code where the trial ended, but what it came to cannot be used."""


@click.command()
@experiment_options
@json_option
@click.pass_context
def train(ctx: click.Context, experiment: "Experiment", again: list[str], as_json: bool) -> None:
    """Train the one trial of a file, without Ray.

    The trial as it stands there: nothing is searched.
    """
    from raytune_pipe.components.stoppers import DIVERGED
    from raytune_pipe.training.memory import memory_errors

    search_here(ctx.params["allow_imports"])
    with memory_errors():
        reports = _train(_trainer(experiment))
    verdict = reports[-1].verdict
    if as_json:
        show_json({"epochs": [asdict(report) for report in reports], "verdict": verdict})
    else:
        show(_table(reports))
    show_next("raytune-pipe", "launch", *again, as_json=as_json)
    if verdict in DIVERGED:
        click.echo(f"the trial diverged: {verdict}; try a lower learning rate", err=True)
        ctx.exit(DIVERGED_EXIT)


def _trainer(experiment: "Experiment") -> "Trainer":
    """A trainer on what the experiment gives one trial; ClusterError if this machine has less."""
    from raytune_pipe.training.trainer import Trainer
    from raytune_pipe.tuning.cluster import local_cluster

    request = local_cluster().request(experiment.resources)
    threads = max(1, int(request.worker["CPU"]))
    return Trainer(experiment.trial, device=request.device, threads=threads)


def _train(trainer: "Trainer") -> list["EpochReport"]:
    """Train to the last epoch or a stop rule's verdict, the progress on stderr."""
    reports: list[EpochReport] = []
    with _progress(trainer.trial.epochs) as progress:
        while not trainer.done and not (reports and reports[-1].verdict):
            reports.append(trainer.train_epoch())
            progress(reports[-1])
    return reports


class _Listener(Protocol):
    def __call__(self, report: "EpochReport") -> None: ...


@contextmanager
def _progress(epochs: int) -> Iterator[_Listener]:
    """A listener that moves a bar on a terminal, and prints a line for each epoch elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    stderr = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("epochs", total=epochs)

        def show_report(report: "EpochReport") -> None:
            for what in report.warnings.values():
                stderr.print(f"warning: {what}", markup=False)
            words = f"val_loss {report.metrics['val_loss']:.4g}"
            bar.update(task, advance=1, description=words)
            if bar.disable:
                stderr.print(f"epoch {report.epoch:g} of {epochs}: {words}")

        yield show_report


def _table(reports: Sequence["EpochReport"]) -> "Table":
    """A row an epoch, a column a metric."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("epoch", *reports[0].metrics):
        table.add_column(name, justify="right")
    for report in reports:
        metrics = (f"{value:.4g}" for value in report.metrics.values())
        table.add_row(f"{report.epoch:g}", *metrics)
    return table
