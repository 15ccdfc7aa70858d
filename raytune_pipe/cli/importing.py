"""Commands that make a run from what another program has left: import ray, import optuna."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.options import json_option
from raytune_pipe.cli.output import echo, show, show_json, show_next

if TYPE_CHECKING:
    from raytune_pipe.importing.imported_run import ImportedRun

Body = Callable[..., Any]


@click.group("import")
def import_() -> None:
    """Make a run from results of Ray Tune or Optuna, to analyze it."""


def _where_to(body: Body) -> Body:
    """``--name``, ``--storage`` and ``--new``: where the run is written."""
    for option in (
        json_option,
        click.option("--new", is_flag=True, help="Take the next free name if it is taken."),
        click.option(
            "--storage",
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="The folder to make the run's folder in.",
        ),
        click.option("--name", metavar="NAME", help="Name of the run; that of its source if not."),
    ):
        body = option(body)
    return body


@import_.command("ray")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--space",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="YAML file whose search_space holds the distributions; without it, one to fill in is"
    " shown.",
)
@click.option("--metric", required=True, help="The metric to rank by, such as val_loss.")
@click.option("--mode", type=click.Choice(["min", "max"]), required=True, help="What is better.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="training_iteration of a whole trial; the largest there is if left out.",
)
@click.option(
    "--interval", type=click.IntRange(min=1), help="Perturbation interval, under PBT; else found."
)
@_where_to
def ray_folder(
    folder: Path,
    space: Path | None,
    metric: str,
    mode: str,
    epochs: int | None,
    interval: int | None,
    **where: Any,
) -> None:
    """Import the FOLDER of a Ray Tune experiment: its JSON files alone, no pickles."""
    from raytune_pipe.importing.ray_tune import read_ray_folder
    from raytune_pipe.results.described import read_mapping, space_of

    known = space_of(read_mapping(space), space) if space else None
    run = read_ray_folder(folder, known, metric, mode, epochs=epochs, interval=interval)
    _write(run, folder.resolve().name, **where)


@import_.command("optuna")
@click.argument("storage_file", metavar="STORAGE")
@click.option("--study", metavar="NAME", help="The study, where the storage holds several.")
@click.option("--metric", default="value", show_default=True, help="What to call the objective.")
@click.option(
    "--objective",
    type=click.IntRange(min=0),
    metavar="INDEX",
    help="Which of several objectives to rank by, from 0.",
)
@_where_to
def optuna_study(
    storage_file: str, study: str | None, metric: str, objective: int | None, **where: Any
) -> None:
    """Import a study of Optuna from a STORAGE: a URL, an SQLite file or a journal file."""
    from raytune_pipe.importing.optuna_storage import load_study
    from raytune_pipe.importing.optuna_study import read_study

    loaded = load_study(storage_file, study)
    _write(read_study(loaded, metric, objective), loaded.study_name, **where)


def _write(
    run: "ImportedRun", found: str, name: str | None, storage: Path, new: bool, as_json: bool
) -> None:
    """Write the run, and say what is in it."""
    from raytune_pipe.importing.writing import write_run

    path = write_run(run, storage, name or _as_name(found), new=new)
    for note in run.notes:
        echo(f"note: {note}", err=True)
    reports = sum(len(trial.reports) for trial in run.trials)
    if as_json:
        counts = {"trials": len(run.trials), "reports": reports}
        show_json({"path": str(path), **counts, "notes": list(run.notes)})
    else:
        show(f"{path}: {len(run.trials):,} trials and {reports:,} reports from {run.source}")
    show_next("raytune-pipe", "analyze", str(path), as_json=as_json)


def _as_name(found: str) -> str:
    """A name of a source with what no run's name may hold replaced."""
    kept = "".join(
        one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in found
    )
    return kept.lstrip("._-")[:100] or "imported"
