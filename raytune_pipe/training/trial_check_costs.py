"""What a trial costs here: memory, the largest batch that fits, seconds per epoch and in all."""

import math
import os
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from raytune_pipe.distributions import Distribution
from raytune_pipe.training.evaluation import predict
from raytune_pipe.training.memory import is_out_of_memory
from raytune_pipe.training.trial_check_findings import Finding
from raytune_pipe.training.trial_check_runs import ShortRun, Subject, drawn

ROOM = 0.8
"""Share of the available memory that is counted on."""
VALIDATED = 1000
"""Samples whose evaluation is timed."""
BATCH = "batch_size"


class Planned(NamedTuple):
    """What a whole experiment comes to."""

    trials: int
    epochs: int
    """Of all trials together, at most."""
    at_once: int
    """Trials that run here side by side."""


def check_time(subject: Subject, run: ShortRun, planned: Planned | None) -> Finding:
    """Seconds per step, epoch and experiment, from the steps that a run has taken."""
    samples = len(subject.data.train.inputs)
    steps = math.ceil(samples / subject.trial.batch_size)
    epoch_s = run.step_s * steps + _validation_s(subject, run)
    found = f"{run.step_s * 1e3:.3g} ms a step, {duration(epoch_s)} an epoch of {steps} steps"
    trial_s = epoch_s * subject.trial.epochs
    found += f", {duration(trial_s)} a trial of {subject.trial.epochs} epochs"
    if planned:
        whole_s = epoch_s * planned.epochs / planned.at_once
        found += f"; all {planned.trials} trials, {planned.at_once} at once here: at most"
        found += f" {duration(whole_s)} if all cost as much as this one"
    return Finding("time", "ok", found)


def _validation_s(subject: Subject, run: ShortRun) -> float:
    """Seconds to evaluate the validation part, by that of some of its samples."""
    validation = subject.data.validation
    some = drawn(validation, VALIDATED, subject.trial.seed, "check", "time")
    started = time.perf_counter()
    predict(run.model, some.inputs).sum().item()  # waits for the device
    return (time.perf_counter() - started) * len(validation.inputs) / len(some.inputs)


def duration(seconds: float) -> str:
    """Seconds in words of a fitting unit: ``0.21 s``, ``3.5 min``, ``2 h``."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def check_memory(subject: Subject, searched: Mapping[str, Distribution]) -> Finding:
    """The largest batch that fits, against the trial's own and the largest that is searched."""
    samples = len(subject.data.train.inputs)
    measure = _on_gpu if subject.place.device != "cpu" else _on_cpu
    fitting, words = measure(subject, samples)
    largest = "the whole training part" if fitting >= samples else f"{fitting:,} samples"
    found = f"{words}; the largest batch that fits: {largest}"
    own = min(subject.trial.batch_size, samples)
    highest = min(_highest(searched, own), samples)
    expected = f"room for batches of {highest:,}"
    if fitting >= highest:
        return Finding("memory", "ok", found, expected)
    return Finding(
        "memory",
        "fail" if fitting < own else "warn",
        found,
        expected,
        "a batch or a network too large for the memory that is here",
        f"{BATCH} of at most {fitting:,}, micro_batches above {subject.trial.micro_batches}, or a"
        " smaller network",
    )


def _highest(searched: Mapping[str, Distribution], own: int) -> int:
    """The largest batch size of the search space, or the trial's own."""
    distribution = searched.get(BATCH)
    if distribution is None:
        return own
    ends: tuple[Any, ...] = (distribution.from_unit(1.0),)
    if distribution.kind == "choice":
        ends = distribution.labels
    return max(int(end) for end in ends)


def largest_fitting(fits: Callable[[int], bool], start: int, most: int) -> int:
    """The largest of ``start`` times powers of two that fits, ``most`` where that does; else 0.

    Where the start does not fit, it is halved.
    """
    size = min(start, most)
    while size and not fits(size):
        size //= 2
        if size and fits(size):
            return size
    while 0 < size < most and fits(min(2 * size, most)):
        size = min(2 * size, most)
    return size


def _on_gpu(subject: Subject, samples: int) -> tuple[int, str]:
    """By training batches of doubled size until the GPU's memory runs out."""
    peaks: dict[int, int] = {}

    def fits(size: int) -> bool:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            _step_of(subject, size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            torch.cuda.empty_cache()
        peaks[size] = torch.cuda.max_memory_allocated()
        return True

    fitting = largest_fitting(fits, subject.trial.batch_size, samples)
    own = peaks.get(min(subject.trial.batch_size, samples))
    return fitting, f"{_size(own)} of GPU memory, measured" if own else "more than the GPU has"


def _on_cpu(subject: Subject, samples: int) -> tuple[int, str]:
    """From the tensors that two batches of different size take, up to the memory available."""
    own = min(subject.trial.batch_size, samples)
    other = own // 2 if own >= 4 else min(2 * own, samples)
    peaks = {size: _tensors_of(subject, size) for size in {own, other}}
    slope = (peaks[own] - peaks[other]) / (own - other) if own != other else 0.0
    held = _bytes_of(subject.data.train.inputs) + _bytes_of(subject.data.train.targets)
    room = available_bytes() * ROOM - (peaks[own] - slope * own)
    if slope <= 0 or room / slope >= samples:
        fitting = samples
    else:
        fitting = largest_fitting(lambda size: size * slope <= room, own, samples)
    words = (
        f"{_size(peaks[own])} for a batch of {own} beside {_size(held)} of training data, of"
        f" {_size(available_bytes())} available; extrapolated from batches of {other} and {own}"
    )
    return fitting, words


def _step_of(subject: Subject, size: int) -> None:
    """Two steps with batches of a size: the second with the optimizer's state in place."""
    trial = subject.trial.model_copy(update={"batch_size": size})
    run = Subject(trial, subject.data, subject.place, subject.is_regularized).run()
    batch = next(run.batches())
    run.step(batch)
    run.step(batch)


def _tensors_of(subject: Subject, size: int) -> int:
    """The most bytes that tensors take while a fresh network trains on a batch of a size."""
    live = LiveTensors()
    with live:
        _step_of(subject, size)
    return live.peak_bytes


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Counts the bytes of the tensors made under it that are alive, and the most at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.peak_bytes = 0
        self._bytes = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for output in tree_iter(outputs):
            if isinstance(output, Tensor):
                self._count(output)
        return outputs

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self._bytes)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._bytes -= self._sizes.pop(key, 0)


def available_bytes() -> int:
    """Memory that this machine, or this process's control group, has left."""
    left = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):  # what caches hold can be had too
            left = int(line.split()[1]) * 1024
    limit, used = (_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit and used and limit[0] != "max":
        left = min(left, int(limit[0]) - int(used[0]))
    return left


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
