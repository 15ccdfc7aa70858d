"""What a report and a trial cost the driver through Ray Tune, in CPU time, told apart.

    nice -n 10 python -m benchmarks.scale_ray

Real launches on an embedded Ray, with workers that train nothing (`scale_actor`) and shares of a
processor so small that many fit. The driver's CPU time is split into our own part (adapter,
recorder, journal, tables) and Ray's: its loop and its threads in the driver's process.
Each size runs in a process of its own. A window is measured in which all slots are taken: from the
report by which each has made three, to the last start of a trial.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np

from raytune_pipe import launch
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.events import Event

from benchmarks import journal_scale
from benchmarks.process_tree import descendants
from benchmarks.scale_actor import EPOCH_S, SleepingActor
from benchmarks.scale_driver import counted

EVERY = 20
"""Reports and starts between two samples."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count() or 1


@dataclass(frozen=True)
class Sample:
    """How much had been spent when an event was on disk."""

    clock_s: float
    driver_s: float
    """CPU seconds of the driver's process, all threads."""
    ours_s: float
    """Those of them in our code."""
    servers_s: float
    """CPU seconds of Ray's own servers beside it."""
    reports: int
    starts: int


@dataclass(frozen=True)
class Window:
    """What was spent between two samples."""

    at_once: int
    trials: int
    epochs: int
    reports: int
    starts: int
    clock_s: float
    driver_s: float
    ours_s: float
    servers_s: float


def servers_cpu_s() -> float:
    """CPU seconds of the raylet and the control service that this process has started."""
    total = 0
    for pid in descendants(os.getpid()):
        try:
            head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:
            continue
        if head.partition("(")[2] in ("raylet", "gcs_server"):
            total += sum(map(int, rest.split()[11:13]))
    return total / TICKS_PER_S


def experiment_of(at_once: int, trials: int, epochs: int, storage: str) -> Experiment:
    """As many trials at once as asked, of near-empty epochs; each trains to its end."""
    plain = journal_scale.experiment_of(trials, epochs).model_dump(mode="json")
    resources = {"cpus": CPUS / at_once, "gpus": 0.0}
    return Experiment.model_validate(
        plain | {"resources": resources, "storage": storage}, strict=False
    )


def measure(at_once: int, trials: int, epochs: int, epoch_s: float) -> Window:
    """Run once in this process."""
    os.environ[EPOCH_S] = str(epoch_s)
    from raytune_pipe.tuning.adapter import Decider, Loop
    from raytune_pipe.tuning.planned_trials import PlannedTrials

    samples, counts = list[Sample](), {"report": 0, "start": 0}
    with ExitStack() as stack:
        parts = stack.enter_context(counted(flush=True))
        for owner, name in (
            *((Decider, name) for name in ("on_trial_result", "choose_trial_to_run")),
            *((Loop, name) for name in ("on_trial_start", "on_step_begin")),
            *((PlannedTrials, name) for name in ("next_trial", "is_finished")),
        ):
            function = parts.timed(name, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, function))

        def take(event: Event) -> None:
            if event["event"] not in counts:
                return
            counts[event["event"]] += 1
            if sum(counts.values()) % EVERY == 0:
                samples.append(
                    Sample(
                        time.monotonic(),
                        time.process_time() - parts.cpu_s["measuring"],
                        sum(parts.cpu_s.values()) - parts.cpu_s["measuring"],
                        servers_cpu_s(),
                        counts["report"],
                        counts["start"],
                    )
                )

        listener = parts.timed("measuring", take)
        stack.enter_context(patch("raytune_pipe.tuning.trainable.TrialActor", SleepingActor))
        storage = stack.enter_context(tempfile.TemporaryDirectory())
        launch(experiment_of(at_once, trials, epochs, storage), listener=listener)
    begin = next(one for one in samples if one.reports >= 3 * at_once)
    end = next(one for one in reversed(samples) if one.starts < trials)
    return Window(
        at_once,
        trials,
        epochs,
        end.reports - begin.reports,
        end.starts - begin.starts,
        end.clock_s - begin.clock_s,
        end.driver_s - begin.driver_s,
        end.ours_s - begin.ours_s,
        end.servers_s - begin.servers_s,
    )


def in_own_process(at_once: int, trials: int, epochs: int, epoch_s: float) -> Window:
    """Run once in a process of its own, whose CPU time is then that of a driver alone."""
    arguments = json.dumps([at_once, trials, epochs, epoch_s])
    command = [sys.executable, "-m", "benchmarks.scale_ray", "--one", arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Window(**json.loads(done.stdout.splitlines()[-1]))


def fit(windows: list[Window], part: str) -> Mapping[str, float]:
    """Microseconds by least squares: a report's, per slot on top of that, and a start's."""
    spent = np.array([getattr(one, part) for one in windows])
    terms = np.array([(one.reports, one.reports * one.at_once, one.starts) for one in windows])
    scale = 1 / spent  # errors are in proportion
    found, *_ = np.linalg.lstsq(terms * scale[:, None], spent * scale, rcond=None)
    return dict(zip(("report", "slot", "start"), (1e6 * found).tolist(), strict=True))


@click.command()
@click.option("--at-once", default=(2, 8, 32, 128), multiple=True, show_default=True)
@click.option("--epochs", default=(3, 30), multiple=True, show_default=True)
@click.option("--reports", default=3000, show_default=True, help="At least, in a run.")
@click.option("--epoch-s", default=0.001, show_default=True)
@click.option("--one", hidden=True)
def main(
    at_once: tuple[int, ...], epochs: tuple[int, ...], reports: int, epoch_s: float, one: str | None
) -> None:
    """Print what was spent for each size, and what follows for a report and a trial."""
    if one:
        print(json.dumps(asdict(measure(*json.loads(one)))))
        return
    windows = []
    print(
        "at once trials epochs reports starts  reports/s | CPU us a report: driver  ours  servers"
    )
    for slots in at_once:
        for each in epochs:
            trials = max(reports // each, 4 * slots if each < 10 else 2 * slots)
            found = in_own_process(slots, trials, each, epoch_s)
            windows.append(found)
            parts = (found.driver_s, found.ours_s, found.servers_s)
            driver, ours, servers = (1e6 * part / found.reports for part in parts)
            rate = found.reports / found.clock_s
            print(
                f"{slots:7} {trials:6} {each:6} {found.reports:7} {found.starts:6} {rate:10.0f} | "
                f"{driver:23.0f} {ours:5.0f} {servers:8.0f}",
                flush=True,
            )
    if len(windows) < 4:
        return  # too few to tell three terms apart
    for part in ("driver_s", "ours_s", "servers_s"):
        print(part, {name: round(value, 1) for name, value in fit(windows, part).items()})


if __name__ == "__main__":
    main()
