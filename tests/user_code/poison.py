"""A tiny data set, and models and data sets that break a trial in one way each."""

import ctypes
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raytune_pipe.components.task import Data, Split, Task

Metric = Callable[[Tensor, Tensor], Any]


def data(samples: int = 96) -> Data:
    """Two classes that a line tells apart; with a metric that is None where nothing was learned."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, 4, generator=generator)
    targets = (inputs.sum(dim=1) > 0).long()
    third = samples // 3
    train, validation, test = (
        Split(inputs[start : start + third], targets[start : start + third])
        for start in (0, third, 2 * third)
    )
    task = Task("classification", (4,), 2, metrics={"confidence": _confidence})
    return Data(train, validation, test, task)


def _confidence(outputs: Tensor, _targets: Tensor) -> float | None:
    return float(outputs.abs().mean()) if outputs.any() else None


class Healthy(nn.Module):
    """A linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Class scores [batch, classes]."""
        outputs: Tensor = self.linear(inputs)
        return outputs


class Raises(Healthy):
    """Raises an exception."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        raise ValueError(f"cannot digest {tuple(inputs.shape)}")


class TurnsNan(Healthy):
    """Puts out what is not a number."""

    def forward(self, inputs: Tensor) -> Tensor:
        """NaN [batch, classes], with gradients."""
        return super().forward(inputs) * float("nan")


class Silent(Healthy):
    """Puts out zeros, for which the metric is None."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Zeros [batch, classes], with gradients."""
        return super().forward(inputs) * 0.0


class Exits(Healthy):
    """Leaves the process politely."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        sys.exit(3)


class Killed(Healthy):
    """Has its process killed, as the kernel does when memory runs out."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        os.kill(os.getpid(), signal.SIGKILL)
        return inputs


class Fragile(Healthy):
    """Turns to NaN or raises, as its weights explode."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [batch, classes]; raises where a weight is beyond 1e4."""
        largest = float(self.linear.weight.detach().abs().max())
        if largest > 1e4:
            raise ValueError(f"the weights exploded to {largest:g}")
        return super().forward(inputs) * (float("nan") if largest > 50 else 1.0)


class RunsOutOfMemory(Healthy):
    """Asks for more memory than there is."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Never returns."""
        raise MemoryError(f"no room for {tuple(inputs.shape)}")


def healthy() -> Data:
    """A metric that is a number."""
    return _with_metric(lambda outputs, _targets: float(outputs.abs().mean()))


def raises() -> Data:
    """An exception."""
    return _with_metric(_raise(ValueError("cannot digest this")))


def raises_while_loading() -> Data:
    """An exception before there is any data."""
    raise FileNotFoundError("no such data set")


def exits() -> Data:
    """`sys.exit`."""
    return _with_metric(lambda *_: sys.exit(3))


def leaves_at_once() -> Data:
    """`os._exit`, which runs nothing more."""
    return _with_metric(lambda *_: os._exit(3))


def is_killed() -> Data:
    """SIGKILL, as of the kernel when memory runs out."""
    return _with_metric(lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def crashes() -> Data:
    """A segmentation fault: reads from address 0."""
    return _with_metric(lambda *_: ctypes.string_at(0))


def is_stopped() -> Data:
    """SIGSTOP: no thread of the process runs any more."""
    return _with_metric(lambda *_: os.kill(os.getpid(), signal.SIGSTOP))


def holds_the_interpreter() -> Data:
    """A search that takes for ever and lets no other thread run."""
    return _with_metric(lambda *_: re.match(r"(a+)+$", "a" * 64 + "b"))


def hangs() -> Data:
    """Sleeps for ever."""
    return _with_metric(lambda *_: time.sleep(1e6))


def runs_out_of_host_memory() -> Data:
    """`MemoryError`."""
    return _with_metric(_raise(MemoryError("no room")))


def runs_out_of_gpu_memory() -> Data:
    """What torch raises when a GPU is full."""
    return _with_metric(_raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")))


def turns_nan() -> Data:
    """Inputs that are not numbers, and so losses."""
    plain = healthy()
    inputs = torch.full_like(plain.train.inputs, float("nan"))
    return replace(plain, train=Split(inputs, plain.train.targets))


def gives_infinity() -> Data:
    """An infinite metric."""
    return _with_metric(lambda *_: float("inf"))


def gives_text() -> Data:
    """A metric that is text."""
    return _with_metric(lambda *_: "high")


def gives_nothing() -> Data:
    """A metric that is None."""
    return _with_metric(lambda *_: None)


def gives_a_vector() -> Data:
    """A metric that is a tensor of several numbers."""
    return _with_metric(lambda outputs, _targets: outputs.mean(dim=0))


def lacks_the_metric() -> Data:
    """No metric of that name."""
    plain = data()
    return replace(plain, task=replace(plain.task, metrics={}))


def recurses() -> Data:
    """`RecursionError`."""

    def recurse(outputs: Tensor, targets: Tensor) -> Any:
        return recurse(outputs, targets)

    return _with_metric(recurse)


def raises_what_cannot_be_pickled() -> Data:
    """An exception that holds an open file and a lambda."""
    error = RuntimeError(Path(__file__).open(), lambda: None)  # noqa: SIM115  # stays open
    return _with_metric(_raise(error))


def raises_ten_megabytes() -> Data:
    """An exception with a text of 10 MB."""
    return _with_metric(_raise(ValueError("x" * 10_000_000)))


def floods_its_output() -> Data:
    """20 MB on stdout and stderr."""

    def flood(outputs: Tensor, _targets: Tensor) -> float:
        for stream in (sys.stdout, sys.stderr):
            stream.write("noise " * 1_700_000 + "\n")
            stream.flush()
        return float(outputs.abs().mean())

    return _with_metric(flood)


def loses_its_folder() -> Data:
    """Goes to another folder, and deletes that."""

    def lose(outputs: Tensor, _targets: Tensor) -> float:
        folder = Path(tempfile.mkdtemp())
        os.chdir(folder)
        folder.rmdir()
        return float(outputs.abs().mean())

    return _with_metric(lose)


def _with_metric(metric: Metric) -> Data:
    plain = data()
    return replace(plain, task=replace(plain.task, metrics={"confidence": metric}))


def _raise(error: Exception) -> Metric:
    def metric(_outputs: Tensor, _targets: Tensor) -> Any:
        raise error

    return metric


class FailsInOneRank(Healthy):
    """Healthy, but for one of several workers: it lacks memory or, once, is killed.

    Args:
        how: Such as ``killed 1``, for rank 1.
        notes: Folder with a file named so while it is to be killed.
    """

    def __init__(self, how: str, notes: str) -> None:
        super().__init__()
        self.how, rank = how.split()
        self.is_here = torch.distributed.get_rank() == int(rank)
        self.note = Path(notes, how)

    def forward(self, inputs: Tensor) -> Tensor:
        """Class scores [batch, classes], where it returns."""
        if self.is_here and self.how == "memory":
            raise MemoryError("no room")
        if self.is_here and self.how == "killed" and self.note.exists():
            self.note.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(inputs)
