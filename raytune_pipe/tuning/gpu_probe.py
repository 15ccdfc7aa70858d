"""Measuring on a GPU of the cluster what `gpus: auto` comes to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raytune_pipe.base import ClusterError
from raytune_pipe.experiment import Experiment
from raytune_pipe.resources import Resources
from raytune_pipe.trial import Trial
from raytune_pipe.tuning.cluster import TYPE
from raytune_pipe.tuning.gpu_shares import (
    GpuShare,
    largest_trials,
    share_for,
    share_of,
    with_share,
)

if TYPE_CHECKING:
    from raytune_pipe.training.memory_peak import MemoryPeak

MEASURED_WITHIN_S = 180.0
"""Seconds that a GPU has to become free and to train one batch of each of the largest trials."""
WHOLE = GpuShare(1.0, None, "")


def settle_gpus(experiment: Experiment, *, wait: bool) -> tuple[Resources, str]:
    """The experiment's resources with ``gpus: auto`` settled, and in words how; "" if by itself.

    Without a GPU in the cluster it is 0. A trial on several workers gets a whole GPU for each,
    since NCCL takes no two ranks on one. Otherwise one GPU of each type measures the largest
    trials; where none can tell, a trial gets a whole GPU. Ray must be connected.

    Raises:
        ClusterError: there is none yet, but there may be where trials ``wait`` for nodes.
    """
    resources = experiment.resources
    if resources.gpus != "auto":
        return resources, ""
    nodes = _gpu_nodes(resources)
    if not nodes and wait:
        raise ClusterError(
            "resources.gpus: must be a number with --wait where no node has a GPU yet, but got "
            "auto; set resources.gpus"
        )
    if not nodes:
        return resources.model_copy(update={"gpus": 0.0}), ""
    if resources.workers > 1:
        return resources.model_copy(update={"gpus": 1.0}), ""
    shares = [_share_on(node, experiment) for node in nodes]
    smallest_gpu = max(shares, key=lambda share: share.gpus)
    return with_share(resources, smallest_gpu), smallest_gpu.reason


def _gpu_nodes(resources: Resources) -> list[str]:
    """The id of a node with each type of GPU that the trials may run on."""
    import ray

    by_type: dict[str, str] = {}
    for node in ray.nodes():
        has = node["Resources"]
        types = [name for name in has if name.startswith(TYPE)]
        wanted = f"{TYPE}{resources.accelerator}"
        fits = resources.accelerator is None or wanted in types
        if node["Alive"] and has.get("GPU", 0) >= 1 and fits:
            by_type.setdefault("".join(sorted(types)), node["NodeID"])
    return list(by_type.values())


def _share_on(node_id: str, experiment: Experiment) -> GpuShare:
    """What a trial gets of the GPUs of a node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    memory_gib = experiment.resources.gpu_memory_gib
    trials = [] if memory_gib else [trial.model_dump_json() for trial in largest_trials(experiment)]
    # The process ends with its task, and so does its context on the GPU.
    probe = ray.remote(num_cpus=0, num_gpus=1, max_calls=1, max_retries=0)(_measure)
    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    measured = probe.options(scheduling_strategy=there).remote(trials)
    try:
        total_gib, peaks = ray.get(measured, timeout=MEASURED_WITHIN_S)
    except Exception as error:  # whatever the trial's own code raises: its trials will tell
        ray.cancel(measured, force=True)
        why = str(error).strip().rpartition("\n")[-1]
        return WHOLE._replace(
            reason=f"gpus: auto: one trial per GPU, as its memory could not be measured: {why}"
        )
    return share_for(memory_gib, total_gib) if memory_gib else share_of(peaks)


def _measure(trials: Sequence[str]) -> tuple[float, list[Any]]:
    """The memory of the GPU at hand in GiB, and the peak of each trial (JSON) on it."""
    import torch

    from raytune_pipe.training.memory_peak import measure_peak

    peaks: list[MemoryPeak] = [measure_peak(Trial.model_validate_json(one)) for one in trials]
    return torch.cuda.mem_get_info()[1] / 2**30, peaks
