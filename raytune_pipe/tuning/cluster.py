"""Reaching Ray: an embedded local one, or a cluster that runs already."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raytune_pipe.base import ClusterError
from raytune_pipe.experiment import Resources

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "3600",
}
"""Ray's noise and its own bookkeeping off: the journal is the record, our table is the display."""

LOCAL_ENVIRONMENT = {
    # A kill by this monitor ends the whole run whatever the trial's retries; without it the kernel
    # kills the one process, and that is one failed trial.
    "RAY_memory_monitor_refresh_ms": "0",
    # Keeps a single node on the loopback interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Tune's workers have an environment of their own, so those started ahead are never used.
    "RAY_enable_worker_prestart": "0",
}

ANSWER_WITHIN_S = 10.0
"""Seconds that the head of a running cluster has to accept a connection."""


@dataclass(frozen=True)
class Cluster:
    """What the nodes that are alive have."""

    nodes: tuple[dict[str, float], ...]
    """Resources by name (CPU, GPU, memory, ...) of each node."""

    def request(self, resources: Resources) -> dict[str, float]:
        """What Ray is asked for per trial, with ``auto`` resolved.

        Raises:
            ClusterError: no single node has as much.
        """
        gpus = resources.gpus
        if gpus == "auto":
            gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in self.nodes) else 0.0
        request = {"CPU": float(resources.cpus)} | ({"GPU": float(gpus)} if gpus else {})
        if self._slots(request) == 0:
            has = "; ".join(
                ", ".join(f"{node.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
                for node in self.nodes
            )
            raise ClusterError(
                f"resources: some node must have {_words(request)} for one trial, but the nodes "
                f"have {has}; ask for less in `resources`, or name a larger cluster by --address"
            )
        return request

    def slots(self, resources: Resources) -> int:
        """How many trials can run at once."""
        slots = self._slots(self.request(resources))
        return min(slots, resources.max_concurrent or slots)

    def _slots(self, request: dict[str, float]) -> int:
        # Rounded, since ten GPU tenths must fit one GPU.
        return sum(
            min(
                int(round(node.get(name, 0) / share, 6)) for name, share in request.items() if share
            )
            for node in self.nodes
        )


def local_cluster() -> Cluster:
    """What this machine has, without starting anything."""
    return Cluster(({"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(_local_gpus())},))


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """A connection to Ray, closed at the end; an embedded Ray ends with it.

    Args:
        address: None for an embedded local Ray; ``auto`` or ``HOST:PORT`` for an existing cluster.

    Raises:
        ClusterError: nothing answers there.
    """
    os.environ.update(ENVIRONMENT)
    if address is None:
        os.environ.update(LOCAL_ENVIRONMENT)
    else:
        _require_answer(address)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    owned = not ray.is_initialized()
    if owned:
        _init(address)
    try:
        yield Cluster(tuple(node["Resources"] for node in ray.nodes() if node["Alive"]))
    finally:
        if owned:
            ray.shutdown()


def _init(address: str | None) -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": True}
    if address is None:
        node = local_cluster().nodes[0]
        ray.init(
            address="local",
            num_cpus=int(node["CPU"]),
            num_gpus=int(node["GPU"]),
            include_dashboard=False,
            **quiet,
        )
        return
    try:
        ray.init(
            address=address, runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}}, **quiet
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"--address {address}: a Ray cluster must answer there, but {error}; start one with "
            "`ray start --head`, or leave --address out for an embedded local Ray"
        ) from error


def _require_answer(address: str) -> None:
    """Ray itself keeps trying an address where nothing listens, for ten minutes and more."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise ClusterError(f"--address must be auto or HOST:PORT, but got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_WITHIN_S).close()
    except OSError as error:
        raise ClusterError(
            f"--address {address}: a Ray cluster must answer there, but nothing does ({error}); "
            "start one with `ray start --head`, or leave --address out for an embedded local Ray"
        ) from error


def _local_gpus() -> int:
    """NVIDIA GPUs of this machine that CUDA_VISIBLE_DEVICES leaves visible."""
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    return min(present, len([device for device in visible.split(",") if device.strip()]))


def _words(request: dict[str, float]) -> str:
    return " and ".join(f"{share:g} {name}" for name, share in request.items())
