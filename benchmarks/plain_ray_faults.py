"""The faults of `benchmarks.faults` on a plain Ray Tune script with its documented restore.

Truth is what the trials themselves noted: every report that `tune.report` returned from. After each
fault the script is run again, restores, and runs to its end; then Ray is asked for its results.

    python -m benchmarks.plain_ray_faults
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.driver_process import command_line
from benchmarks.faults import EXPERIMENT, SCHEDULERS
from benchmarks.plain_ray_script import ACKNOWLEDGED, POISONED, RESULTS, RUN
from benchmarks.process_tree import descendants

TRIALS, EPOCHS = 8, 8
ENDS_WITHIN_S = 600.0
ENVIRONMENT = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Keeps Ray on the loopback interface; else it runs as it comes."""
LAST = EPOCHS - 1
"""The last epoch that can be acknowledged: at the next ASHA ends the trial inside its report."""
STATE_FILES = "experiment_state-*.json"


@dataclass
class Counts:
    """What one fault came to."""

    acknowledged: int = 0
    """Reports that had been acknowledged when the fault came."""
    lost: int = 0
    duplicated: int = 0
    trials: int = 0
    """In Ray's results, out of 8."""
    vanished: int = 0
    """Trials that had used their budget before the fault and are not in the results."""
    judged: int = 0
    """Trials that ASHA remembers at its first rung, out of 8."""
    exit_code: int | str = 0


class PlainRun:
    """A run of the script in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        text = f"{EXPERIMENT}scheduler: {SCHEDULERS['asha']}\nstorage: {folder}\n"
        (folder / "experiment.yaml").write_text(text)

    def start(self, poison: str = "", before: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """Run the script, or restore what there is, under the words of another command."""
        script = [sys.executable, "-m", "benchmarks.plain_ray_script", str(self.folder)]
        words = [*before, *script, str(self.folder / "experiment.yaml"), poison]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                words, stdout=output, stderr=output, env=os.environ | ENVIRONMENT
            )

    def acknowledged(self) -> list[tuple[int, float]]:
        """The reports that the trials noted, by number of the trial and epoch."""
        path = self.folder / ACKNOWLEDGED
        lines = path.read_text().splitlines() if path.exists() else []
        return [(number, epoch) for number, epoch in map(json.loads, lines)]

    def kill_when(self, condition: Callable[[], bool]) -> list[tuple[int, float]]:
        """Start, kill the driver and then all it started; what had been acknowledged."""
        process = self.start()
        deadline = time.monotonic() + ENDS_WITHIN_S
        while not condition() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is not None:
            print("    the run was over before its kill", flush=True)
        _end(process)
        return self.acknowledged()

    def restore(self, before: list[tuple[int, float]]) -> Counts:
        """Run the script again, to its end, and count what is in Ray's results."""
        (self.folder / RESULTS).unlink(missing_ok=True)
        process = self.start()
        try:
            exit_code: int | str = process.wait(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            exit_code = f"hangs ({ENDS_WITHIN_S:.0f} s)"
        _end(process)
        return self._counts(before, exit_code)

    def _counts(self, before: list[tuple[int, float]], exit_code: int | str) -> Counts:
        path = self.folder / RESULTS
        nothing: dict[str, Any] = {"trials": [], "judged": 0}
        results = json.loads(path.read_text()) if path.exists() else nothing
        trials = results["trials"]
        rows = Counter((trial["number"], epoch) for trial in trials for epoch in trial["epochs"])
        numbers = {trial["number"] for trial in trials}
        finished = {number for number, epoch in before if epoch == LAST}
        return Counts(
            acknowledged=len(set(before)),
            lost=len(set(before) - rows.keys()),
            duplicated=sum(count - 1 for count in rows.values()),
            trials=len(numbers & set(range(TRIALS))),
            vanished=len(finished - numbers),
            judged=results["judged"],
            exit_code=exit_code,
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a driver, and what it has started: as when a machine or a container ends."""
    started = [*descendants(process.pid)]
    process.kill()
    process.wait()
    for pid in started:
        if command_line(pid):
            os.kill(pid, signal.SIGKILL)


def before_the_first_state(run: PlainRun) -> Counts:
    """Killed when trials have begun and Ray has not saved its state yet."""
    return run.restore(run.kill_when(lambda: (run.folder / RUN / "tuner.pkl").exists()))


def at_random(run: PlainRun, rng: random.Random) -> Counts:
    """Killed once, at any number of reports but the first and the last few."""
    count = rng.randint(2, 18)
    return run.restore(run.kill_when(lambda: len(run.acknowledged()) >= count))


def truncated_state(run: PlainRun) -> Counts:
    """Killed after a trial's last report; the newest state file then is half as long."""

    def has_finished() -> bool:
        epochs = [epoch for _, epoch in run.acknowledged()]
        return LAST in epochs[:-2]

    before = run.kill_when(has_finished)
    newest = max((run.folder / RUN).glob(STATE_FILES), key=lambda path: path.stat().st_mtime)
    os.truncate(newest, newest.stat().st_size // 2)
    return run.restore(before)


def full_disk(run: PlainRun) -> Counts:
    """Its folder is a disk of 300 kB until the script ends; then there is room (needs root)."""
    folder, kept = run.folder / RUN, run.folder / "kept"
    folder.mkdir()
    on_a_small_disk = f'mount -t tmpfs -o size=300k tmpfs {folder}; "$@"; cp -a {folder} {kept}'
    process = run.start(before=["unshare", "--mount", "bash", "-c", on_a_small_disk, "bash"])
    try:
        process.wait(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        print("    hangs on the full disk", flush=True)
    _end(process)
    before = run.acknowledged()
    if kept.exists():
        folder.rmdir()
        kept.rename(folder)
    return run.restore(before)


def poisoned(run: PlainRun, poison: str) -> Counts:
    """One trial reports something else than a number; nothing is killed, nothing restored."""
    process = run.start(poison)
    try:
        exit_code: int | str = process.wait(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        exit_code = f"hangs ({ENDS_WITHIN_S:.0f} s)"
    _end(process)
    healthy = [each for each in run.acknowledged() if each[0] != POISONED]
    return run._counts(healthy, exit_code)


@click.command()
@click.option("--kills", default=6, show_default=True, help="Kills at random.")
@click.option("--seed", default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Print what each fault came to."""
    folder = Path(tempfile.mkdtemp(prefix="prf-"))
    rng = random.Random(seed)
    faults: dict[str, Callable[[PlainRun], Counts]] = {
        "killed before the first state file": before_the_first_state,
        **{f"killed at random, {n + 1}": lambda run: at_random(run, rng) for n in range(kills)},
        "newest state file truncated": truncated_state,
        **({"full disk": full_disk} if os.geteuid() == 0 else {}),
        "a trial reports text": lambda run: poisoned(run, "text"),
        "a trial reports None": lambda run: poisoned(run, "none"),
        "a trial leaves the metric out": lambda run: poisoned(run, "missing"),
    }
    print(
        "| fault | acknowledged | lost | doubled | trials of 8 | finished, vanished "
        "| in ASHA's first rung | exit |"
    )
    print("| --- " * 8 + "|", flush=True)
    for number, (name, fault) in enumerate(faults.items()):
        counts = fault(PlainRun(folder / str(number)))
        print(
            f"| {name} | {counts.acknowledged} | {counts.lost} | {counts.duplicated} "
            f"| {counts.trials} | {counts.vanished} | {counts.judged} | {counts.exit_code} |",
            flush=True,
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
