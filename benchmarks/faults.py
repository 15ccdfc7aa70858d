"""Kill real runs at random moments, go on with them, and count what was lost.

The driver (with it all of Ray's processes) or a worker gets SIGKILL: while it starts, at or after
a report, in the middle of a publish or a checkpoint, while the run is gone on with. In the end
every run must have what its journal had at each kill, every report once, and the numbers of a run
that nothing interrupted.

    python -m benchmarks.faults

kills 30 runs once each; `--kills 6` kills each up to six times, its workers too.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from raytune_pipe.results.journal import JOURNAL

from benchmarks.driver_process import Attempt, await_moment, command_line, draw_moment
from benchmarks.fault_checks import check, differences, events_of, whole_lines

EXPERIMENT = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [16]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 8
  batch_size: 16
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.1}
  optimizer.momentum: {kind: uniform, low: 0.5, high: 0.95}
trials: 8
checkpoint_seconds: 0.4
resources: {cpus: 1, gpus: 0, max_concurrent: 2}
"""
SCHEDULERS = {
    "pbt": "{kind: pbt, interval_epochs: 2, quantile: 0.25}",
    "asha": "{kind: asha, grace_epochs: 1, reduction_factor: 2}",
    "random": "{kind: fifo}",
}
RESUME = """
import sys
from pathlib import Path
from raytune_pipe.tuning.runner import resume
sys.exit(resume(Path(sys.argv[1])).exit_code)
"""
NOTHING_PLANNED = ("must begin with an experiment", "must be the folder of a run")
"""What resuming says of a run that was killed before it had planned anything."""
GONE_WITHIN_S = 20.0
"""Seconds after the end of a driver by which none of its workers may be left."""
ALL_GONE_WITHIN_S = 90.0
"""And nothing else: Ray's helpers wait 60 s for a head that is gone, but touch nothing of a run."""


@dataclass
class Tally:
    """What all runs together came to."""

    runs: int = 0
    killed: int = 0
    """Those of them that did not end before the moment of their kill."""
    kills: Counter[str] = field(default_factory=Counter)
    """By the moment of the kill."""
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each run, from its launch to the end of its checks."""


class Campaign:
    """Launches, kills, goes on and checks, one run after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.tally = Tally()
        self.undisturbed: dict[str, Path] = {}
        self.attempts: list[Attempt] = []
        self.slowest_end_s = 0.0

    def undisturbed_run(self, scheduler: str) -> Path:
        """A run that nothing interrupts; ASHA's trials train as those of random search do."""
        name = "pbt" if scheduler == "pbt" else "random"
        if name not in self.undisturbed:
            folder = self._new_folder(name, f"undisturbed-{name}")
            attempt = self._launch(folder)
            self._run_to_end(attempt)
            self.undisturbed[name] = attempt.run
        return self.undisturbed[name]

    def disturb(self, scheduler: str, driver_kills: int, worker_kills: int) -> None:
        """One run, with so many kills; then its checks."""
        started = time.monotonic()
        expected = self.undisturbed_run(scheduler)
        folder = self._new_folder(scheduler, f"{self.tally.runs}-{scheduler}")
        attempt, at_kills = self._launch(folder), list[bytes]()
        workers_left = worker_kills
        for left in reversed(range(driver_kills)):
            workers_left -= workers_left > 0 and self._kill_worker(attempt, at_kills)
            is_last = left == 0 < driver_kills - 1
            moment = draw_moment(
                attempt, self.rng, has_decisions=scheduler != "random", is_last=is_last
            )
            if not self._kill_driver(attempt, moment, at_kills):
                break
            attempt = self._go_on(folder)
        while workers_left and self._kill_worker(attempt, at_kills):
            workers_left -= 1
        self._run_to_end(attempt)
        self._take_stock(attempt.run, at_kills, expected, scheduler, workers_left < worker_kills)
        self.tally.seconds.append(time.monotonic() - started)

    def _take_stock(
        self, run: Path, at_kills: list[bytes], expected: Path, scheduler: str, lost_workers: bool
    ) -> None:
        found, tally = check(run, at_kills), self.tally
        tally.runs += 1
        tally.killed += bool(at_kills)
        tally.acknowledged += found.acknowledged
        tally.lost += found.lost
        tally.duplicated += found.duplicated
        print(
            f"    {found.acknowledged} acknowledged at a kill, {found.lost} lost, "
            f"{found.duplicated} doubled",
            flush=True,
        )
        if not (scheduler == "pbt" and lost_workers):  # a lost member changes its population
            complete = scheduler != "asha" and not lost_workers
            compared, wrong = differences(run, expected, all_of_them=complete)
            tally.compared += compared
            found.wrong += wrong
        for each in dict.fromkeys(found.wrong):
            self._note_wrong(run, each)

    def _note_wrong(self, run: Path, what: str) -> None:
        self.tally.wrong.append(f"{run.parent.name}: {what}")
        print(f"    WRONG {self.tally.wrong[-1]}", flush=True)

    def _new_folder(self, scheduler: str, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        text = f"{EXPERIMENT}scheduler: {SCHEDULERS[scheduler]}\nstorage: {folder}\n"
        (folder / "experiment.yaml").write_text(text)
        print(f"{name}", flush=True)
        return folder

    def _launch(self, folder: Path) -> Attempt:
        command = ["-m", "raytune_pipe", "launch", str(folder / "experiment.yaml")]
        return self._start(command, folder)

    def _go_on(self, folder: Path) -> Attempt:
        """Resume the run, or launch it anew where nothing had been planned."""
        run = folder / "run"
        if b'"event":"experiment"' in whole_lines(run / JOURNAL):
            return self._start(["-c", RESUME, str(run)], folder)
        if run.exists():
            attempt = self._start(["-c", RESUME, str(run)], folder)
            attempt.process.wait()
            if not any(text in attempt.output.read_text() for text in NOTHING_PLANNED):
                self._note_wrong(run, f"an empty run says {attempt.output.read_text()[-300:]}")
            shutil.rmtree(run)
        return self._launch(folder)

    def _start(self, command: Sequence[str], folder: Path) -> Attempt:
        self.attempts.append(Attempt(command, folder, folder / "run"))
        return self.attempts[-1]

    def _kill_driver(self, attempt: Attempt, moment: str, at_kills: list[bytes]) -> bool:
        """Kill the driver; False if it ended before that moment came."""
        happened = await_moment(attempt, moment, self.rng)
        if not happened and not attempt.has_ended:
            self._note_wrong(attempt.run, f"hangs; waited for: {moment}")
        if attempt.has_ended:
            return False
        attempt.kill()
        self._note_kill(attempt, at_kills, f"driver {moment}")
        if self.rng.random() < 0.5:  # else the run is gone on with while workers are still dying
            self._await_end_of_workers(attempt)
        attempt.clear_away()
        return True

    def _kill_worker(self, attempt: Attempt, at_kills: list[bytes]) -> bool:
        count = self.rng.randint(1, 12)
        if not attempt.wait_until(lambda: attempt.news().count(b'{"event":"report"') >= count):
            return False
        time.sleep(self.rng.uniform(0, 0.3))
        workers = attempt.workers()
        if not workers:
            return False
        os.kill(self.rng.choice(workers), signal.SIGKILL)
        self._note_kill(attempt, at_kills, "worker after a report")
        attempt.known = len(at_kills[-1])
        return True

    def _note_kill(self, attempt: Attempt, at_kills: list[bytes], what: str) -> None:
        at_kills.append(whole_lines(attempt.run / JOURNAL))
        reports = sum(event["event"] == "report" for event in events_of(at_kills[-1]))
        self.tally.kills[what] += 1
        print(f"    killed {what}: {reports} reports", flush=True)

    def _run_to_end(self, attempt: Attempt) -> None:
        attempt.wait_until(lambda: False)
        if not attempt.has_ended:
            self._note_wrong(attempt.run, "hangs")
            attempt.kill()
        if attempt.process.returncode != 0:
            text = attempt.output.read_text()[-2000:]
            self._note_wrong(attempt.run, f"exit {attempt.process.returncode}: {text}")
        self._await_end_of_workers(attempt)
        attempt.clear_away()

    def _await_end_of_workers(self, attempt: Attempt) -> None:
        started = time.monotonic()
        while left := attempt.workers():
            if time.monotonic() - started > GONE_WITHIN_S:
                self._note_wrong(attempt.run, f"left over: {list(map(command_line, left))}")
                break
            time.sleep(0.02)
        self.slowest_end_s = max(self.slowest_end_s, time.monotonic() - started)

    def await_end_of_processes(self) -> None:
        """Wait until nothing is left of any attempt."""
        deadline = time.monotonic() + ALL_GONE_WITHIN_S
        for attempt in self.attempts:
            while attempt.left_over() and time.monotonic() < deadline:
                time.sleep(0.1)
            for pid in attempt.left_over():
                self._note_wrong(attempt.run, f"left over: {command_line(pid)}")


def show(campaign: Campaign) -> None:
    """Print the tables."""
    tally = campaign.tally
    print("\n| kill | count |\n| --- | --- |")
    for moment, count in sorted(tally.kills.items()):
        print(f"| {moment} | {count} |")
    faults = sum(tally.kills.values())
    print(
        "\n| killed runs | faults injected | reports acknowledged | lost | duplicated | "
        "compared with an undisturbed run | wrong |\n" + "| --- " * 7 + "|\n"
        f"| {tally.killed} | {faults} | {tally.acknowledged} | {tally.lost} | {tally.duplicated} | "
        f"{tally.compared} | {len(tally.wrong)} |"
    )
    print(f"\nAll workers were gone {campaign.slowest_end_s:.1f} s after their driver at most.")
    print(f"A run took {min(tally.seconds):.0f} to {max(tally.seconds):.0f} s with its checks.")


@click.command()
@click.option("--runs", default=30, show_default=True, help="Killed runs.")
@click.option("--minutes", default=60.0, show_default=True, help="Begin no run after so many.")
@click.option("--kills", default=1, show_default=True, help="Kills of the driver in a run at most.")
@click.option("--seed", default=0, show_default=True)
def main(runs: int, minutes: float, kills: int, seed: int) -> None:
    """Kill, go on, check, print; exit with 1 if anything was lost, doubled or wrong."""
    until = time.monotonic() + 60 * minutes
    campaign = Campaign(Path(tempfile.mkdtemp(prefix="faults-")), seed)
    tally = campaign.tally
    while tally.killed < runs and time.monotonic() < until:
        scheduler = ("pbt", "asha")[tally.runs % 2]
        campaign.disturb(scheduler, kills, worker_kills=2 * (kills > 1 and tally.runs % 5 >= 3))
    campaign.await_end_of_processes()
    show(campaign)
    if tally.lost or tally.duplicated or tally.wrong:
        sys.exit(f"The runs are kept in {campaign.folder}")
    shutil.rmtree(campaign.folder)


if __name__ == "__main__":
    main()
