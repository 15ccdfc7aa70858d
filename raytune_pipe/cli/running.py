"""What launch and resume share: the run as it goes, its results, the command that comes next."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.output import console, show, show_json, show_next
from raytune_pipe.cli.run_folder import told

if TYPE_CHECKING:
    from raytune_pipe.cli.live import Display
    from raytune_pipe.results.events import Event
    from raytune_pipe.results.reading import Results
    from raytune_pipe.tuning.runner import Outcome

address_option = click.option(
    "--address",
    help="A running Ray cluster: auto or HOST:PORT from one of its machines, or"
    " http://HOST:8265 from anywhere, which submits a job. Without it RAY_API_SERVER_ADDRESS or"
    " RAY_ADDRESS, else (or with: local) this machine alone.",
)
insecure_option = click.option(
    "--insecure",
    is_flag=True,
    help="Use a cluster on another host although its head demands no token: whoever reaches it can"
    " run code there.",
)
wait_option = click.option(
    "--wait",
    is_flag=True,
    help="Have trials wait for nodes, on a cluster that adds them when asked (autoscaling).",
)
steal_lock_option = click.option(
    "--steal-lock",
    is_flag=True,
    help="Go on although a process on another host holds the run, if that host cannot be asked.",
)
analyze_option = click.option(
    "--analyze", is_flag=True, help="Rank the hyperparameters at the end, as analyze does."
)


def follow(
    start: Callable[["Display"], "Outcome"], folder: Callable[["Event"], Path | None]
) -> tuple["Outcome | None", "Event | None"]:
    """How a run ended, None if Ctrl-C ended it at once; and the first event it wrote, if any.

    Shows the run on stderr while it goes. ``folder`` is asked for that of the run that wrote this
    first event, for those who watch it as a job.
    """
    from raytune_pipe.cli.job_lines import status_lines
    from raytune_pipe.cli.live import Display, display

    first: Event | None = None
    # Ray prints on stdout, in threads of its own too; there the result must stand alone.
    with (
        redirect_stdout(sys.stderr),
        display(console(stderr=True)) as shown,
        status_lines(folder) as told,
    ):

        def hear(event: "Event") -> None:
            nonlocal first
            first = first or event
            shown.hear(event)
            told.hear(event)

        def recall(event: "Event") -> None:
            shown.recall(event)
            told.recall(event)

        try:
            return start(Display(hear, recall)), first
        except KeyboardInterrupt:
            return None, first


@dataclass(frozen=True)
class Ending:
    """What is shown at the end of a run, and what it offers to do next."""

    analyze: bool
    as_json: bool
    alone: Sequence[str]
    """The words that name the experiment to `train`."""
    options: Sequence[str]
    """The words that `resume` needs beside the folder."""

    def show(self, outcome: "Outcome") -> None:
        """Show what the run has come to, and the command that comes next."""
        from raytune_pipe.results.reading import read_results

        results = read_results(outcome.path)
        begun = not results.trials.empty
        if begun or self.as_json:
            self._show_results(results, outcome)
        if outcome.state == "interrupted":
            self.show_interrupted(str(outcome.path), begun=begun)
        elif outcome.exit_code:
            click.echo("no trial can be used; to see one alone:", err=True)
            self._show_next("train", *self.alone)
        else:
            after = "best" if self.analyze else "analyze"
            self._show_next(after, str(outcome.path))

    def show_interrupted(self, path: str, *, begun: bool = True) -> None:
        """Say how to go on with a run that was interrupted."""
        from raytune_pipe.tuning.jobs import current_job

        if current_job():  # it is shown where that was submitted
            return
        when = "" if begun else " before any trial began"
        click.echo(f"interrupted{when}; to go on:", err=True)
        show_next("raytune-pipe", "resume", path, *self.options, as_json=self.as_json)

    def _show_next(self, *words: str) -> None:
        """Show the command that comes next; a job's own is shown where it was submitted."""
        from raytune_pipe.tuning.jobs import current_job

        if not current_job():
            show_next("raytune-pipe", *words, as_json=self.as_json)

    def _show_results(self, results: "Results", outcome: "Outcome") -> None:
        """The run as its folder tells it; if asked for, what `analyze` would say of it too."""
        from raytune_pipe.cli.analyzing import analyze_and_keep, report
        from raytune_pipe.cli.job_lines import write
        from raytune_pipe.report.results_table import results_table

        analysis = analyze_and_keep(results) if self.analyze else None
        result = {
            "path": told(outcome.path),
            "state": outcome.state,
            "exit_code": outcome.exit_code,
            "trials": results.trials["status"].value_counts().to_dict(),
            "best": _best(results),
            "importance": analysis and analysis.to_mapping(),
        }
        write({"result": result})
        if self.as_json:
            show_json(result)
            return
        show(results_table(results), f"results: {told(outcome.path)}")
        if analysis:
            show("", report(analysis, results))


def _best(results: "Results") -> dict[str, Any] | None:
    """The best trial as plain values; None where no trial can be used."""
    from raytune_pipe.analysis.best import best_trial
    from raytune_pipe.base import TooFewTrialsError

    try:
        return best_trial(results).to_mapping()
    except TooFewTrialsError:
        return None
