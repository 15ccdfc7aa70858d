"""How many trials share a GPU: what `gpus: auto` comes to, from a measured peak of memory."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from raytune_pipe.base import to_json
from raytune_pipe.conditions import combinations
from raytune_pipe.distributions import Distribution
from raytune_pipe.experiment import Experiment
from raytune_pipe.resources import Resources
from raytune_pipe.trial import Trial
from raytune_pipe.variants import (
    Plain,
    has,
    is_component_choice,
    put,
    to_plain,
    to_trial,
)

if TYPE_CHECKING:
    from raytune_pipe.training.memory_peak import MemoryPeak

MARGIN = 1.25
"""Times the measured peak that a trial gets: the allocator's blocks fall apart as it trains."""
MOST_PER_GPU = 8
"""Trials that share a GPU at most, however small they are: each has a context of its own."""
BATCH, PARTS, PRECISION = "batch_size", "micro_batches", "precision"


class GpuShare(NamedTuple):
    """What one trial gets of a GPU."""

    gpus: float
    gpu_memory_gib: float | None
    """What PyTorch's allocator may take; None is no limit."""
    reason: str
    """How it came to that, for people."""


def largest_trials(experiment: Experiment) -> list[Trial]:
    """The trials of a search space that can take the most memory, one for each distinct model.

    Every combination of components that may be chosen together, each with the fewest micro-batches,
    the largest batch size, and the upper bounds of all that is searched beneath ``dataset`` and
    ``model``. What does not go together with the values before it is left as it was.
    """
    found: dict[str, Plain] = {}
    for plain, space in combinations(to_plain(experiment.trial), experiment.search_space):
        plains = [plain]
        for path, distribution in space.items():
            if _is_of_size(path) and not is_component_choice(distribution):
                values = _largest(path, distribution)
                plains = [larger for each in plains for larger in _enlarged(each, path, values)]
        found |= {to_json(each): each for each in plains}
    return [to_trial(plain) for plain in found.values()]


def _is_of_size(path: str) -> bool:
    """Whether what a hyperparameter stands for lies in memory while a trial trains."""
    return path in (BATCH, PARTS, PRECISION) or path.startswith(("dataset.", "model."))


def _enlarged(plain: Plain, path: str, values: Sequence[Any]) -> list[Plain]:
    """The trial with each of the values that it is valid with; as it is where there is none."""
    found: list[Plain] = []
    for value in values if has(plain, path) else ():
        with suppress(ValidationError):
            larger = put(plain, path, value)
            to_trial(larger)
            found.append(larger)
    return found or [plain]


def _largest(path: str, distribution: Distribution) -> Sequence[Any]:
    """The value that takes the most memory; all options where they have no order."""
    if distribution.kind != "choice":
        return (distribution.low if path == PARTS else distribution.high,)
    if not distribution.ordered:
        return distribution.options
    return (distribution.labels[0 if path == PARTS else -1],)


def share_of(peaks: Sequence["MemoryPeak"]) -> GpuShare:
    """The share of a GPU that holds the largest of the trials, with some room.

    The allocator may take what the share has beside the process's own context.
    """
    largest = max(peaks, key=lambda peak: peak.used_bytes)
    total_gib, context_gib = largest.total_bytes / 2**30, largest.context_bytes / 2**30
    needed = largest.allocator_bytes * MARGIN + largest.context_bytes
    per_gpu = max(1, min(MOST_PER_GPU, int(largest.total_bytes / needed)))
    reason = (
        f"gpus: auto: {per_gpu} trials per GPU, as the largest takes "
        f"{largest.used_bytes / 2**30:.2f} of its {total_gib:.1f} GiB"
    )
    limit_gib = None if per_gpu == 1 else round(total_gib / per_gpu - context_gib, 3)
    return GpuShare(1 / per_gpu, limit_gib, reason)


def share_for(memory_gib: float, total_gib: float) -> GpuShare:
    """The share of a GPU of ``total_gib`` that a trial of a given memory gets."""
    per_gpu = max(1, min(MOST_PER_GPU, int(total_gib / memory_gib)))
    reason = (
        f"gpus: auto: {per_gpu} trials per GPU, by {memory_gib:g} of its {total_gib:.1f} GiB each"
    )
    return GpuShare(1 / per_gpu, memory_gib, reason)


def with_share(resources: Resources, share: GpuShare) -> Resources:
    """The resources with ``auto`` settled."""
    return resources.model_copy(update={"gpus": share.gpus, "gpu_memory_gib": share.gpu_memory_gib})
