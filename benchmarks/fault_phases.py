"""Kill runs at every named phase, once and twice, go on with them to the end, and check them.

python -m benchmarks.fault_phases
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from raytune_pipe.results.journal import JOURNAL

from benchmarks.fault_checks import Findings, check, differences, whole_lines
from benchmarks.killed_driver import NEVER_CAME, RUN, phases

TRIALS = 6
EXPERIMENT = f"""
name: {RUN}
trial:
  dataset: {{kind: digits}}
  model: {{kind: mlp, widths: [8]}}
  loss: {{kind: cross_entropy}}
  optimizer: {{kind: sgd, lr: 0.05}}
  epochs: 4
  batch_size: 32
search_space:
  optimizer.lr: {{kind: log_uniform, low: 1e-3, high: 0.1}}
  optimizer.momentum: {{kind: uniform, low: 0.5, high: 0.95}}
trials: {TRIALS}
"""
SCHEDULERS = {
    "pbt": "{kind: pbt, interval_epochs: 1, quantile: 0.25}",
    "pb2": "{kind: pb2, interval_epochs: 1, quantile: 0.25}",
    "asha": "{kind: asha, grace_epochs: 1, reduction_factor: 2}",
    "hyperband": "{kind: hyperband, reduction_factor: 2}",
    "median": "{kind: median, min_trials: 2}",
    "random": "{kind: fifo}",
}
IN_A_RESUME = ("the replay", "after the replay")
"""Phases that only a resume has; before them a launch is killed in the middle."""
ONLY_UNDER = {"a rung": "asha", "a barrier": "pbt"}
ENDS_WITHIN_S = 300.0


@dataclass
class KilledRun:
    """A run that is launched, killed and gone on with in one folder."""

    folder: Path
    scheduler: str
    concurrent: int = 2
    """Trials at once."""
    at_kills: list[bytes] = field(default_factory=list)
    """The whole lines of the journal at each kill."""
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        resources = f"{{cpus: 1, gpus: 0, max_concurrent: {self.concurrent}}}"
        text = f"{EXPERIMENT}scheduler: {SCHEDULERS[self.scheduler]}\nresources: {resources}\n"
        self.file.write_text(f"{text}storage: {self.folder}\n")

    @property
    def file(self) -> Path:
        """The experiment."""
        return self.folder / "experiment.yaml"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.folder / RUN

    def kill_at(self, phase: str) -> None:
        """Launch the run or go on with it, until it dies at the phase."""
        code = self._drive("-m", "benchmarks.killed_driver", phase, *self._next_words())
        if code != -signal.SIGKILL:
            why = "the phase never came" if code == NEVER_CAME else f"exit {code}"
            self.wrong.append(f"to be killed at {phase}: {why}: {self._last_words()}")
        self.at_kills.append(whole_lines(self.path / JOURNAL))

    def end(self) -> None:
        """Launch the run or go on with it, to its end."""
        code = self._drive("-m", "raytune_pipe", *self._next_words())
        if code != 0:
            self.wrong.append(f"exit {code}: {self._last_words()}")

    def findings(self, undisturbed: Path) -> Findings:
        """What is lost, doubled or wrong, beside a run that nothing interrupted."""
        if self.wrong:
            return Findings(wrong=self.wrong)
        found = check(self.path, self.at_kills)
        complete = self.scheduler != "asha"
        found.compared, wrong = differences(self.path, undisturbed, all_of_them=complete)
        found.wrong += wrong
        return found

    def _next_words(self) -> list[str]:
        """What goes on: `resume` where there is a journal with an experiment, else `launch`.

        A folder without one holds nothing, and `resume` says so; it is deleted, as a user would.
        """
        if b'"event":"experiment"' in whole_lines(self.path / JOURNAL):
            return ["resume", str(self.path)]
        if self.path.exists():
            code = self._drive("-m", "raytune_pipe", "resume", str(self.path))
            if code != 5:
                self.wrong.append(f"an empty run must be refused with 5: {self._last_words()}")
            shutil.rmtree(self.path)
        return ["launch", str(self.file)]

    def _drive(self, *words: str) -> int:
        with self._output.open("w") as output:
            return subprocess.run(
                [sys.executable, *words], stdout=output, stderr=output, timeout=ENDS_WITHIN_S
            ).returncode

    @property
    def _output(self) -> Path:
        return self.folder / "output.txt"

    def _last_words(self) -> str:
        return self._output.read_text()[-1500:]


class Undisturbed:
    """The runs that the killed ones are compared with; ASHA's trials train as random search's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, scheduler: str) -> Path:
        """The finished run to compare with."""
        name = "pbt" if scheduler == "pbt" else "random"
        folder = self._folder / f"undisturbed-{name}"
        if not folder.exists():
            run = KilledRun(folder, name)
            run.end()
            if run.wrong:
                sys.exit(f"an undisturbed run fails: {run.wrong}")
        return folder / RUN


def kills_of(phase: str, scheduler: str, *, twice: bool) -> list[str]:
    """The phases at which one process after the other is killed."""
    midway = "a barrier" if scheduler == "pbt" else "a rung"
    before = [midway] if phase in IN_A_RESUME else []
    return [*before, phase, *([phase] if twice else [])]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(phases(TRIALS))), help="A phase.")
def main(only: Sequence[str]) -> None:
    """Kill at each phase, go on, check, print; exit with 1 if anything was lost or wrong."""
    folder = Path(tempfile.mkdtemp(prefix="fault-phases-"))
    undisturbed, failed, total = Undisturbed(folder), False, Findings()
    print("| phase | killed | scheduler | reports at the kills | lost | doubled | wrong | s |")
    print("| --- " * 8 + "|")
    for number, phase in enumerate(only or phases(TRIALS)):
        for twice in (False, True):
            scheduler = ONLY_UNDER.get(phase, ("pbt", "asha")[(number + twice) % 2])
            run = KilledRun(folder / f"{number}-{'twice' if twice else 'once'}", scheduler)
            expected, started = undisturbed.path(scheduler), time.monotonic()
            for each in kills_of(phase, scheduler, twice=twice):
                run.kill_at(each)
            run.end()
            found = run.findings(expected)
            seconds = time.monotonic() - started
            print(
                f"| {phase} | {'twice' if twice else 'once'} | {scheduler} | {found.acknowledged} "
                f"| {found.lost} | {found.duplicated} | {len(found.wrong)} | {seconds:.0f} |",
                flush=True,
            )
            for wrong in dict.fromkeys(found.wrong):
                print(f"    WRONG {run.folder.name}: {wrong}", flush=True)
            total.acknowledged += found.acknowledged
            total.compared += found.compared
            failed = failed or bool(found.lost or found.duplicated or found.wrong)
    print(
        f"\n{total.acknowledged} reports stood in a journal at a kill; "
        f"{total.compared} were compared with an undisturbed run."
    )
    if failed:
        sys.exit(f"The runs are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
