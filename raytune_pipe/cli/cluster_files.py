"""`launch --cluster`: names the commands of a cluster file, and runs them or only shows them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from raytune_pipe.cli.output import echo, show_json

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment
    from raytune_pipe.tuning.cluster_files import Course

TOLD_OTHERWISE = {"file", "overrides", "allow_imports", "cluster", "dry_run", "check"}
"""Parameters that the words for the experiment hold already, or that are not for the cluster."""


def cluster_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """``--cluster`` and ``--dry-run``, given to the command as ``cluster`` and ``dry_run``."""
    cluster = click.option(
        "--cluster",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="Bring up the cluster of this file, as those in clusters/, and launch there.",
    )
    dry_run = click.option(
        "--dry-run", is_flag=True, help="With --cluster: show the commands, run none of them."
    )
    return cluster(dry_run(body))


def launch_on(
    cluster: Path | None,
    ctx: click.Context,
    experiment: "Experiment",
    again: Sequence[str],
    *,
    dry_run: bool,
) -> int:
    """Launch through the commands of a cluster file, or show them; the exit code.

    ``again`` are the words that name the experiment.

    Raises:
        ConfigError: the file is of no known kind, or not filled in.
        ClusterError: a command is missing or fails, or others can read the user's token.
    """
    from raytune_pipe.tuning.cluster_commands import free_port
    from raytune_pipe.tuning.cluster_file_text import require_filled_in
    from raytune_pipe.tuning.cluster_files import Launch, course_of
    from raytune_pipe.tuning.tokens import require_private_token

    if cluster is None:
        raise click.UsageError("--dry-run shows what --cluster would run: give --cluster PATH too")
    if ctx.get_parameter_source("address") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--cluster brings up its own cluster: leave --address out")
    file, *options = *again, *_words_given(ctx)
    launch = Launch(file, tuple(options), experiment.storage)
    course = course_of(cluster, launch, free_port())
    if dry_run:
        _show([step.line for step in course.steps], cluster, as_json=ctx.params["as_json"])
        return 0
    require_filled_in(cluster)
    if any(step.tunnel_port for step in course.steps):  # the user's token opens what it leads to
        require_private_token()
    return _run(course)


def _run(course: "Course") -> int:
    """Run the commands, each named first; then say what is to be done afterwards, come what may."""
    from raytune_pipe.tuning.cluster_commands import run_steps

    begun: list[str] = []

    def begin(line: str) -> None:
        begun.append(line)
        echo(f"running: {line}", err=True)

    try:
        return run_steps(course.steps, begin)
    finally:
        if begun and course.afterwards:
            echo(course.afterwards, err=True)


def _words_given(ctx: click.Context) -> Iterator[str]:
    """The options of the command line as they were given, but for `TOLD_OTHERWISE`."""
    for option in ctx.command.params:
        name = option.name or ""
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in TOLD_OTHERWISE or not isinstance(option, click.Option):
            continue
        yield option.opts[0]
        if not option.is_flag:
            yield str(ctx.params[name])


def _show(lines: Sequence[str], cluster: Path, *, as_json: bool) -> None:
    """The commands, one a line; beside them, on stderr, what is still to be filled in."""
    from raytune_pipe.tuning.cluster_file_text import unset_places

    for place in unset_places(cluster):
        echo(f"to be filled in first: {place}", err=True)
    if as_json:
        show_json({"commands": lines})
        return
    for line in lines:
        echo(line)
