"""Reaching Ray: an embedded local one, or a cluster that runs already."""

import itertools
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_pipe.base import ClusterError, ConfigError
from raytune_pipe.resources import Placement, Resources
from raytune_pipe.results.scratch import scratch_prefix, sweep_scratch
from raytune_pipe.tuning.authentication import (
    authenticate,
    require_authenticated,
    require_driver_fits,
)
from raytune_pipe.tuning.reaching import no_answer
from raytune_pipe.tuning.tokens import own_token
from raytune_pipe.tuning.trial_request import Strategy, TrialRequest

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
    # Workers whose driver was killed end after this many seconds, not after Ray's 60.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    # Tune's workers have an environment of their own, so those started ahead are never used.
    "RAY_prestart_worker_first_driver": "0",
}

SCRATCH_FOLDER = Path("/tmp")  # elsewhere the names of Ray's sockets get too long
SCRATCH = "raytune-pipe-"
"""What the names of an embedded Ray's folders begin with; the process id comes next."""

TYPE = "accelerator_type:"
"""What the name of a GPU's type begins with among a node's resources."""

_STRATEGIES: dict[Placement, Strategy] = {
    "pack": "PACK",
    "spread": "SPREAD",
    "strict_pack": "STRICT_PACK",
    "strict_spread": "STRICT_SPREAD",
}


@dataclass(frozen=True)
class Cluster:
    """What the nodes that are alive have."""

    nodes: tuple[dict[str, float], ...]
    """Resources by name (CPU, GPU, memory, ...) of each node."""
    head: str = ""
    """HOST:PORT of its head; empty where it is not connected to."""

    def request(self, resources: Resources, *, wait: bool = False) -> TrialRequest:
        """What Ray is asked for per trial; where ``auto`` is not settled, a whole GPU if any.

        The type of GPU is left to the cluster: what is here without one says nothing of it.

        Raises:
            ClusterError: the nodes have not as much for even one trial, and nobody is to ``wait``
                for those that will.
        """
        gpus = resources.gpus
        if gpus == "auto":
            gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in self.nodes) else 0.0
        worker = {"CPU": float(resources.cpus)} | ({"GPU": float(gpus)} if gpus else {})
        if resources.accelerator and gpus and self.head:
            worker[f"{TYPE}{resources.accelerator}"] = 0.001  # each GPU of a node has 1 of it
        request = TrialRequest((worker,) * resources.workers, _STRATEGIES[resources.placement])
        if request.slots(self.nodes) == 0 and not wait:
            who = "some node" if resources.workers == 1 else "the nodes"
            raise ClusterError(
                f"resources: {who} must have {request} for one trial, but the nodes have "
                f"{'; '.join(map(_has, self.nodes))}; ask for less in `resources`, name a larger "
                "cluster by --address, or --wait for one that adds nodes"
            )
        return request

    def slots(self, resources: Resources) -> int:
        """How many trials can run at once."""
        slots = self.request(resources).slots(self.nodes)
        return min(slots, resources.max_concurrent or slots)


def local_cluster() -> Cluster:
    """What this machine has, without starting anything."""
    return Cluster(({"CPU": float(_local_cpus()), "GPU": float(_local_gpus())},))


@contextmanager
def connected(
    address: str | None, env_passthrough: Sequence[str] = (), *, insecure: bool = False
) -> Iterator[Cluster]:
    """A connection to Ray, closed at the end; an embedded Ray ends with it.

    Args:
        address: None for an embedded local Ray; ``auto`` or ``HOST:PORT`` for an existing cluster.
        env_passthrough: Names of environment variables that its workers get with the values here;
            those of an embedded Ray have all.
        insecure: Take a head on another host too that demands no token.

    Raises:
        ClusterError: nothing answers there; the head takes calls without a token, or not with the
            one that is here; or it has other versions.
    """
    os.environ.update(ENVIRONMENT)
    if address is None:
        os.environ.update(LOCAL_ENVIRONMENT)
    else:
        address = _secured(address, insecure)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with _ray(address, env_passthrough) if not ray.is_initialized() else nullcontext():
        alive = tuple(node["Resources"] for node in ray.nodes() if node["Alive"])
        yield Cluster(alive, ray.get_runtime_context().gcs_address)


def _secured(address: str, insecure: bool) -> str:
    """HOST:PORT of a head that the driver may join, and will show the token to if it asks."""
    if "://" in address:
        raise ClusterError(f"--address must be auto or HOST:PORT for a driver, but got {address}")
    head = require_authenticated(address, insecure=insecure)
    require_driver_fits(head)
    authenticate(head)
    return head.address


@contextmanager
def _ray(address: str | None, env_passthrough: Sequence[str]) -> Iterator[None]:
    """Ray connected, and at the end disconnected; an embedded one leaves no file behind."""
    import ray

    sweep_scratch(SCRATCH_FOLDER, SCRATCH)
    with (
        tempfile.TemporaryDirectory(
            prefix=scratch_prefix(SCRATCH), dir=SCRATCH_FOLDER, ignore_cleanup_errors=True
        ) as scratch,
        own_token(Path(scratch)) if address is None else nullcontext(),
        _on_loopback() if address is None else nullcontext(),
    ):
        try:
            ray.init(
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **(_embedded(scratch) if address is None else _existing(address, env_passthrough)),
            )
        except Exception as error:  # of no class of its own where a process starts too slowly
            raise _not_started(address, error) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Keep an embedded Ray on the loopback interface also where Ray was imported long ago.

    It reads the variable for that when it is imported, and never again.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _embedded(scratch: str) -> dict[str, Any]:
    """What Ray is told to start a cluster of its own on this machine."""
    node = local_cluster().nodes[0]
    cpus, gpus = int(node["CPU"]), int(node["GPU"])
    own = {"num_cpus": cpus, "num_gpus": gpus, "include_dashboard": False}
    return {"address": "local", "_temp_dir": scratch} | own


def _existing(address: str, env_passthrough: Sequence[str]) -> dict[str, Any]:
    """What Ray is told to join a cluster that runs already."""
    passed = {name: os.environ[name] for name in env_passthrough}
    variables = {"env_vars": passed | {"RAY_CHDIR_TO_TRIAL_DIR": "0"}}
    return {"address": address, "runtime_env": variables}


def require_variables(env_passthrough: Sequence[str]) -> None:
    """Raise `ConfigError` unless all variables that workers are to get are set here."""
    missing = [name for name in env_passthrough if name not in os.environ]
    if missing:
        raise ConfigError(
            f"env_passthrough: {', '.join(missing)} must be set where the experiment is launched, "
            "but is not; export it, or take its name away"
        )


def _not_started(address: str | None, error: Exception) -> ClusterError:
    why = str(error).partition("\n")[0]
    if address is None:
        return ClusterError(f"an embedded Ray must start on this machine, but it does not: {why}")
    return no_answer(address, error)


def _local_cpus() -> int:
    """Processors this process may use, by its affinity and by its control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    limit = Path("/sys/fs/cgroup/cpu.max")
    quota, _, period = limit.read_text().partition(" ") if limit.exists() else ("max", "", "")
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def _local_gpus() -> int:
    """NVIDIA GPUs of this machine that CUDA_VISIBLE_DEVICES leaves visible."""
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present
    # CUDA reads the list up to the first entry that names no device, such as -1 or NoDevFiles.
    names = itertools.takewhile(_names_a_gpu, visible.split(","))
    return min(present, len(list(names)))


def _names_a_gpu(entry: str) -> bool:
    return entry.strip().isdigit() or entry.strip().startswith(("GPU-", "MIG-"))


def _has(node: dict[str, float]) -> str:
    """``8 CPU, 2 GPU (A100)``."""
    types = ", ".join(sorted(name.removeprefix(TYPE) for name in node if name.startswith(TYPE)))
    amounts = ", ".join(f"{node.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
    return f"{amounts} ({types})" if types else amounts
