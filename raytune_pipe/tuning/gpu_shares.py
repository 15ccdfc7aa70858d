"""How many trials share a GPU: what `gpus: auto` comes to, from a measured peak of memory."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from raytune_pipe.base import to_json
from raytune_pipe.distributions import Distribution
from raytune_pipe.experiment import Experiment, Resources
from raytune_pipe.trial import Trial
from raytune_pipe.variants import (
    choice_above,
    get,
    has,
    is_component_choice,
    put,
    put_option,
    to_plain,
    to_trial,
)

if TYPE_CHECKING:
    from raytune_pipe.training.memory_peak import MemoryPeak

MARGIN = 1.25
"""Times the measured peak that a trial gets: the allocator's blocks fall apart as it trains."""
MOST_PER_GPU = 8
"""Trials that share a GPU at most, however small they are: each has a context of its own."""


class GpuShare(NamedTuple):
    """What one trial gets of a GPU."""

    gpus: float
    gpu_memory_gib: float | None
    """What PyTorch's allocator may take; None is no limit."""
    reason: str
    """How it came to that, for people."""


def largest_trials(experiment: Experiment) -> list[Trial]:
    """The trials of a search space that can take the most memory, one for each distinct model.

    The largest batch size, the upper bounds of all that is searched beneath ``model``, and every
    combination of the components that are chosen from. Combinations that are not valid are left
    out, as no trial has them.
    """
    space = experiment.search_space
    plains = [to_plain(experiment.trial)]
    for path in sorted(space, key=lambda path: _depth(path, space)):
        plains = [larger for plain in plains for larger in _enlarged(plain, path, space[path])]
    found = {to_json(plain): plain for plain in plains}
    return [trial for plain in found.values() for trial in _valid(plain)]


def _depth(path: str, space: dict[str, Distribution]) -> int:
    """How many choices of components stand above a path."""
    above = choice_above(path, space)
    return 0 if above is None else 1 + _depth(above, space)


def _enlarged(plain: dict[str, Any], path: str, distribution: Distribution) -> Iterator[Any]:
    """The trial with each of the values that may take the most; as it is where none does."""
    if is_component_choice(distribution):
        if get(plain, path) is None and not has(plain, path):
            yield plain
            return
        for option in distribution.options:
            try:
                yield put_option(plain, path, option)
            except ValidationError:
                continue
        return
    is_of_size = path == "batch_size" or path.startswith("model.")
    if not (is_of_size and has(plain, path)):
        yield plain
        return
    yield from (put(plain, path, value) for value in _largest(distribution))


def _largest(distribution: Distribution) -> Sequence[Any]:
    """The upper bound, or the largest option; all options where they have no order."""
    if distribution.kind != "choice":
        return (distribution.high,)
    numbers = [one for one in distribution.options if isinstance(one, int | float)]
    is_ordered = len(numbers) == len(distribution.options)
    return (max(numbers),) if is_ordered else tuple(distribution.options)


def _valid(plain: dict[str, Any]) -> Iterator[Trial]:
    try:
        yield to_trial(plain)
    except ValidationError:
        return


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
