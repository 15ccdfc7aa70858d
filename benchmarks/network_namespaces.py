"""Cut the links of a cluster with real addresses, under real runs, and count what was lost.

Needs root. A head and three worker nodes, each in a network namespace of its own, on a bridge in
a fifth: nothing leaves them, and all is taken away at the end, on Ctrl-C too. Storage is a folder
that all see. A worker's link is cut for 5, 45 and 120 s.

    sudo .venv/bin/python -m benchmarks.network_namespaces
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from benchmarks.node_faults import EXPERIMENTS, Campaign

BRIDGE = "raytunebr"
"""The namespace of the bridge."""
NODES = ("raytune0", "raytune1", "raytune2", "raytune3")
"""The namespaces of the head and of the workers."""
PORT = 6379
RAY = "ray"
"""Where every node sees its own files of Ray's."""
STARTED = "Ray runtime started."
"""What `ray start` says once a node has joined."""
HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "5",
}
"""A dead node is noticed after about 10 s, a silent one after about 35."""
ENDS_WITHIN_S = 20.0
"""Seconds in which a node that was given up ends once its link is back."""


class NamespaceCluster:
    """A head and workers that see each other through a bridge only."""

    address = f"10.77.0.1:{PORT}"

    def __init__(self, scratch: Path) -> None:
        self.nodes = list(NODES[1:])
        self._scratch = scratch
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ.update(own | HEALTH_CHECKS | {"RAY_USAGE_STATS_ENABLED": "0"})
        self.launcher = self._inside(NODES[0])
        self._raylets: dict[str, subprocess.Popen[bytes]] = {}

    def _inside(self, node: str) -> tuple[str, ...]:
        """What a command in a namespace begins with. Ray's files there are of that node alone."""
        own, shown = self._scratch / node, self._scratch / RAY
        own.mkdir(exist_ok=True)
        shown.mkdir(exist_ok=True)
        mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
        return ("ip", "netns", "exec", node, "sh", "-c", mount, str(own), str(shown))

    def start(self) -> None:
        """Make the namespaces and the links, and start Ray in each."""
        _ip("netns", "add", BRIDGE)
        _ip("-n", BRIDGE, "link", "add", "br0", "type", "bridge")
        _ip("-n", BRIDGE, "link", "set", "br0", "up")
        for number, node in enumerate(NODES):
            _ip("netns", "add", node)
            ends = ("type", "veth", "peer", "name", "eth0", "netns", node)
            _ip("link", "add", node, "netns", BRIDGE, *ends)
            _ip("-n", BRIDGE, "link", "set", node, "master", "br0", "up")
            _ip("-n", node, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", node, "link", "set", device, "up")
        for node in NODES:
            self._start_ray(node)
            if node == NODES[0]:
                self._wait_for_ray(node)  # workers give up soon where no head answers
        for node in self.nodes:
            self._wait_for_ray(node)

    def _start_ray(self, node: str) -> None:
        number = NODES.index(node)
        command = [*self._inside(node), str(Path(sys.executable).with_name("ray"))]
        command += ["start", "--block", f"--node-ip-address=10.77.0.{number + 1}"]
        if number == 0:
            command += ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false"]
            command += [f"--temp-dir={self._scratch / RAY}"]
        else:
            command += [f"--address={self.address}", "--num-cpus=4", "--num-gpus=1"]
        with self._log(node).open("w") as log:
            self._raylets[node] = subprocess.Popen(command, stdout=log, stderr=log)

    def _wait_for_ray(self, node: str) -> None:
        while STARTED not in self._log(node).read_text():
            if self._raylets[node].poll() is not None:
                raise RuntimeError(f"{node} has ended: {self._log(node).read_text()}")
            time.sleep(0.2)

    def _log(self, node: str) -> Path:
        return self._scratch / f"{node}.txt"

    def add(self) -> str:
        """There are as many nodes as namespaces; raises RuntimeError."""
        raise RuntimeError("nodes must be as many as the namespaces that were made; cut links only")

    def kill(self, node_id: str) -> None:
        """End all processes of a node at once."""
        for pid in _processes(node_id):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def drain(self, node_id: str, within_s: float) -> None:
        """Tell the node by SIGTERM that it will be taken away, as Kubernetes does."""
        self._raylets[node_id].terminate()

    def silence(self, node_id: str) -> None:
        """Cut its link."""
        _ip("-n", BRIDGE, "link", "set", node_id, "down")

    def wake(self, node_id: str) -> None:
        """Mend its link; start it anew where it was given up meanwhile, as a service would be."""
        _ip("-n", BRIDGE, "link", "set", node_id, "up")
        with suppress(subprocess.TimeoutExpired):
            self._raylets[node_id].wait(timeout=ENDS_WITHIN_S)
            self.kill(node_id)
            self._start_ray(node_id)

    def free_gpus(self) -> dict[str, float]:
        """Nothing: the head can be asked from within its namespaces only."""
        return {}

    def take_down(self) -> None:
        """End what runs inside, and nothing else; take the namespaces away."""
        for node in NODES:
            self.kill(node)
        for node in (*NODES, BRIDGE):
            subprocess.run(["ip", "netns", "delete", node], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _processes(node: str) -> list[int]:
    told = subprocess.run(
        ["ip", "netns", "pids", node], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in told.stdout.split()]


@contextmanager
def namespace_cluster() -> Iterator[NamespaceCluster]:
    """A cluster that runs; everything is taken away at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))  # short: Ray's sockets lie beneath it
    cluster = NamespaceCluster(scratch)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.take_down()
        shutil.rmtree(scratch, ignore_errors=True)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(EXPERIMENTS)))
@click.option("--seconds", default=[5.0, 45.0, 120.0], show_default=True, multiple=True)
@click.option("--undisturbed", type=click.Path(path_type=Path), help="Keeps undisturbed runs.")
@click.option("--seed", default=0, show_default=True)
@click.option("--set", "settings", multiple=True, help="As of launch.")
def main(
    names: Sequence[str],
    seconds: Sequence[float],
    undisturbed: Path | None,
    seed: int,
    settings: Sequence[str],
) -> None:
    """Cut, check, print; exit with 1 if anything was lost, doubled, run again or wrong."""
    if os.geteuid() != 0:
        raise click.ClickException("network namespaces must be made by root; run it by sudo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="network-namespaces-"))
    campaign = Campaign(folder, undisturbed or folder, seed, settings, namespace_cluster)
    for name in names or EXPERIMENTS:
        for each in seconds:
            campaign.disturb(name, "silence", 1, every_s=8.0, seconds=each)
    campaign.show()


if __name__ == "__main__":
    main()
