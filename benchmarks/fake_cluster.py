"""A Ray cluster of several nodes on this machine, with GPUs that are not there."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.process_tree import descendants

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all nodes on the loopback interface
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 3,
}
"""A dead node is noticed after about 3 s, a silent one after about 18."""


class FakeCluster:
    """A head without CPUs for trials, and worker nodes that come and go."""

    launcher: tuple[str, ...] = ()
    """What a command on its head begins with."""

    def __init__(self, cpus: int, gpus: int) -> None:
        # Read when Ray is imported: here, and in all that is started from here.
        os.environ.update(ENVIRONMENT)
        from ray.cluster_utils import Cluster

        loopback = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
        self._own = {**loopback, "num_cpus": cpus, "num_gpus": gpus}
        head = {**loopback, "num_cpus": 0, "_system_config": HEALTH_CHECKS}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[str] = []
        """The ids of the worker nodes that were not killed."""
        self._by_id: dict[str, Any] = {}  # nodes of Ray's, which is not typed

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return str(self._cluster.address)

    def add(self) -> str:
        """Start another worker node, and wait until the head knows it; its id."""
        node = self._cluster.add_node(**self._own)
        self._by_id[node.node_id] = node
        self.nodes.append(node.node_id)
        return str(node.node_id)

    def kill(self, node_id: str) -> None:
        """End all processes of a worker node at once, as a power cut does."""
        self.signal(node_id, signal.SIGKILL)
        self.nodes.remove(node_id)
        self._cluster.remove_node(self._by_id.pop(node_id), allow_graceful=False)

    def signal(self, node_id: str, number: signal.Signals) -> None:
        """Send a signal to the node's processes."""
        for pid in self.processes(node_id):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def silence(self, node_id: str) -> None:
        """Stop all processes of a node, which is to all others what a cut link is."""
        self.signal(node_id, signal.SIGSTOP)

    def wake(self, node_id: str) -> None:
        """Let them go on. A node that was given up meanwhile ends by itself."""
        self.signal(node_id, signal.SIGCONT)

    def processes(self, node_id: str) -> list[int]:
        """The process ids of a worker node: its raylet, and all that it has started."""
        raylets = self._by_id[node_id].all_processes["raylet"]
        first = [each.process.pid for each in raylets]
        return first + [pid for each in first for pid in descendants(each)]

    def drain(self, node_id: str, within_s: float) -> None:
        """Tell the cluster that a node will be taken away, as a watcher of spot notices does."""
        command = [str(Path(sys.executable).with_name("ray")), "drain-node"]
        command += ["--address", self.address, "--node-id", node_id]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
        command += ["--deadline-remaining-seconds", str(int(within_s))]
        subprocess.run(command, check=True, capture_output=True)

    def free_gpus(self) -> dict[str, float]:
        """The GPU share that nobody holds, by node, as Ray's head sees it."""
        free = self._cluster.global_state.available_resources_per_node()
        return {node: free[node].get("GPU", 0.0) for node in self.nodes if node in free}

    def shut_down(self) -> None:
        """End all nodes."""
        for node_id in self.nodes:
            self.signal(node_id, signal.SIGCONT)
        self._cluster.shutdown()


@contextmanager
def fake_cluster(nodes: int = 3, cpus: int = 4, gpus: int = 1) -> Iterator[FakeCluster]:
    """A cluster that runs, with so many worker nodes; ended at the end."""
    cluster = FakeCluster(cpus, gpus)
    try:
        for _ in range(nodes):
            cluster.add()
        yield cluster
    finally:
        cluster.shut_down()
