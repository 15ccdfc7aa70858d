"""Take nodes away from under real runs, bring others, and count what was lost.

A cluster of three worker nodes on this machine, with GPUs that are not there, runs the shipped
experiments. A node drawn at random is killed every 8 s, five times, and another comes in its place;
or a node is announced to be taken away, as spot instances are, and then is; or all processes of a
node are stopped for a while, which is to all others what a cut link is.

    python -m benchmarks.node_faults
    python -m benchmarks.node_faults asha --kills 0 --drains 0 --silence 45
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import click

from raytune_pipe.results.journal import JOURNAL

from benchmarks.fake_cluster import fake_cluster
from benchmarks.fault_checks import check, differences, whole_lines
from benchmarks.node_checks import check_nodes

EXPERIMENTS = {"pbt": "pbt_resnet", "asha": "asha_resnet"}
HANGS_AFTER_S = 900.0
LOOK_EVERY_S = 0.25
COMES_BACK_AFTER_S = 4.0
NOTICE_S = 20.0
"""Seconds from the notice that a node will be taken away to its end; clouds give 30 to 120."""
COLUMNS = (
    *("run", "faults", "s", "attempts moved", "reports acknowledged", "lost", "doubled"),
    *("finished run again", "epochs made again", "epochs in vain", "equal to an undisturbed run's"),
    *("most shares of a GPU held at once", "by trials", "wrong"),
)


class AnyCluster(Protocol):
    """A cluster whose nodes can be disturbed."""

    nodes: list[str]
    launcher: tuple[str, ...]

    @property
    def address(self) -> str: ...
    def add(self) -> str: ...
    def kill(self, node_id: str) -> None: ...
    def drain(self, node_id: str, within_s: float) -> None: ...
    def silence(self, node_id: str) -> None: ...
    def wake(self, node_id: str) -> None: ...
    def free_gpus(self) -> dict[str, float]: ...


class DisturbedRun:
    """A driver on the cluster, and what was acknowledged at each fault."""

    def __init__(self, folder: Path, cluster: AnyCluster | None, *arguments: str) -> None:
        self.run = folder / "run"
        self.cluster = cluster
        self.at_faults: list[bytes] = []
        self.wrong: list[str] = []
        self.began = time.monotonic()
        self._output = folder / "output.txt"
        address, launcher = (cluster.address, cluster.launcher) if cluster else ("local", ())
        settings = [f"storage={folder}", "name=run", *arguments[1:]]
        command = [*launcher, sys.executable, "-m", "benchmarks.node_driver", address]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [*command, arguments[0], *settings], stdout=output, stderr=output
            )

    @property
    def reports(self) -> int:
        """How many reports the journal has."""
        return whole_lines(self.run / JOURNAL).count(b'{"event":"report"')

    def goes_on_for(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let it run for so long, or until something holds; False if it has ended."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline and not until():
            self._look_at_gpus()
            time.sleep(LOOK_EVERY_S)
        return self._process.poll() is None

    def _look_at_gpus(self) -> None:
        free = self.cluster.free_gpus() if self.cluster else {}
        self.wrong += [f"{-share:g} too much of {n}" for n, share in free.items() if share < 0]

    def note_fault(self, what: str) -> None:
        """Note what was acknowledged when it happened."""
        self.at_faults.append(whole_lines(self.run / JOURNAL))
        took_s = time.monotonic() - self.began
        print(f"    {took_s:.0f} s: {what} after {self.reports} reports", flush=True)

    def end(self) -> float:
        """Wait for the end; the seconds that the whole run took."""
        if self.goes_on_for(HANGS_AFTER_S):
            self._process.kill()
            self.wrong.append("hangs")
        if self._process.wait() != 0:
            text = self._output.read_text()[-2000:]
            self.wrong.append(f"exit {self._process.returncode}: {text}")
        return time.monotonic() - self.began


class Campaign:
    """Runs each experiment undisturbed once, and disturbed; judges; prints."""

    def __init__(
        self,
        folder: Path,
        undisturbed: Path,
        seed: int,
        settings: Sequence[str],
        cluster_of: Callable[[], AbstractContextManager[AnyCluster]] = fake_cluster,
    ) -> None:
        self.folder = folder
        self._undisturbed = undisturbed
        self._cluster_of = cluster_of
        self.rng = random.Random(seed)
        self.settings = settings
        self.rows: list[list[str | int]] = []
        self.wrong: list[str] = []

    def undisturbed(self, name: str) -> Path:
        """A run that nothing disturbs; ASHA's trials train as those of random search do."""
        folder = self._undisturbed / f"undisturbed-{name}"
        if folder.exists():
            return folder / "run"
        folder.mkdir()
        fifo = ["scheduler={kind: fifo}"] if name == "asha" else []
        settings = [*fifo, *self.settings, "resources.gpus=0.0"]
        run = DisturbedRun(folder, None, _file(name), *settings)
        run.end()
        self._note(folder.name, run.wrong)
        return run.run

    def disturb(
        self, name: str, fault: str, faults: int, every_s: float, seconds: float = 0.0
    ) -> None:
        """One run on a cluster of its own, under so many faults; then its checks."""
        expected = self.undisturbed(name)
        title = f"{name}, {fault}" + (f" of {seconds:g} s" if fault == "silence" else "")
        folder = self.folder / title.replace(", ", "-").replace(" ", "-")
        folder.mkdir()
        print(title, flush=True)
        with self._cluster_of() as cluster:
            # auto would measure on a GPU, and these compute nothing
            run = DisturbedRun(folder, cluster, _file(name), "resources.gpus=1.0", *self.settings)
            run.goes_on_for(120, until=lambda: run.reports >= 3)
            for _ in range(faults):
                if not run.goes_on_for(0.1):
                    break
                began = time.monotonic()
                getattr(self, f"_{fault}")(run, cluster, seconds)
                run.goes_on_for(every_s - (time.monotonic() - began))
            took_s = run.end()
        self._judge(title, run, expected, took_s)

    def _kill(self, run: DisturbedRun, cluster: AnyCluster, seconds: float) -> None:
        """Kill a node, and bring another a little later."""
        run.note_fault("a node killed")
        cluster.kill(self.rng.choice(cluster.nodes))
        run.goes_on_for(COMES_BACK_AFTER_S)
        cluster.add()

    def _silence(self, run: DisturbedRun, cluster: AnyCluster, seconds: float) -> None:
        """Have a node silent for a while."""
        node = self.rng.choice(cluster.nodes)
        run.note_fault(f"a node silent for {seconds:g} s")
        cluster.silence(node)
        run.goes_on_for(seconds)
        cluster.wake(node)

    def _drain(self, run: DisturbedRun, cluster: AnyCluster, seconds: float) -> None:
        """Tell that a node will be taken away, do so a little later, and bring another."""
        node = self.rng.choice(cluster.nodes)
        run.note_fault("a node to be taken away")
        cluster.drain(node, seconds)
        run.goes_on_for(seconds)
        cluster.kill(node)
        cluster.add()

    def _judge(self, title: str, run: DisturbedRun, expected: Path, took_s: float) -> None:
        found, nodes = check(run.run, run.at_faults), check_nodes(run.run)
        is_population = title.startswith("pbt")
        compared, other = differences(run.run, expected, all_of_them=is_population)
        wrong = [*run.wrong, *found.wrong, *nodes.wrong, *other]
        self._note(title, wrong)
        row: list[str | int] = [title, len(run.at_faults), round(took_s), nodes.moved]
        row += [found.acknowledged, found.lost, found.duplicated, nodes.finished_again]
        row += [nodes.epochs_again, nodes.in_vain, compared, f"{nodes.most_on_a_gpu:g}"]
        row += [nodes.most_trials_on_a_gpu, len(wrong)]
        self.rows.append(row)
        print("    " + ", ".join(f"{c}: {v}" for c, v in zip(COLUMNS, self.rows[-1], strict=True)))
        if found.lost or found.duplicated or nodes.finished_again:
            self.wrong.append(f"{title}: something was lost, doubled, or run again")

    def _note(self, title: str, wrong: Sequence[str]) -> None:
        for each in dict.fromkeys(wrong):
            self.wrong.append(f"{title}: {each}")
            print(f"    WRONG {self.wrong[-1]}", flush=True)

    def show(self) -> None:
        """Print a row for each run; exit with 1 where anything was wrong."""
        print(f"\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        for row in self.rows:
            print(f"| {' | '.join(map(str, row))} |")
        if self.wrong:
            sys.exit(f"The runs are kept in {self.folder}")
        shutil.rmtree(self.folder)


def _file(name: str) -> str:
    return f"experiments/{EXPERIMENTS[name]}.yaml"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(EXPERIMENTS)))
@click.option("--kills", default=5, show_default=True, help="In a run of each experiment.")
@click.option("--drains", default=2, show_default=True, help="In a second run of each.")
@click.option(
    "--silence", default=[5.0, 45.0, 120.0], show_default=True, multiple=True, help="0: none."
)
@click.option("--every", default=8.0, show_default=True, help="Seconds from fault to fault.")
@click.option("--undisturbed", type=click.Path(path_type=Path), help="Keeps undisturbed runs.")
@click.option("--seed", default=0, show_default=True)
@click.option("--set", "settings", multiple=True, help="As of launch.")
def main(
    names: Sequence[str],
    kills: int,
    drains: int,
    silence: Sequence[float],
    every: float,
    undisturbed: Path | None,
    seed: int,
    settings: Sequence[str],
) -> None:
    """Disturb, check, print; exit with 1 if anything was lost, doubled, run again or wrong."""
    folder = Path(tempfile.mkdtemp(prefix="node-faults-"))
    campaign = Campaign(folder, undisturbed or folder, seed, settings)
    for name in names or EXPERIMENTS:
        if kills:
            campaign.disturb(name, "kill", kills, every)
        if drains:
            campaign.disturb(name, "drain", drains, every, NOTICE_S)
        for seconds in filter(None, silence):
            campaign.disturb(name, "silence", 1, every, seconds)
    campaign.show()


if __name__ == "__main__":
    main()
