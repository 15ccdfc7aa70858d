"""What one trial is given, and how often it starts again after a failure."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from raytune_pipe.base import Component, Count, Positive

Placement = Literal["pack", "spread", "strict_pack", "strict_spread"]
Retry = Annotated[int, Field(ge=0, le=100)]


class Resources(Component):
    """What one trial is given."""

    cpus: Positive = 1.0
    """Processor cores, of each of its workers."""
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """Share of a GPU, or whole GPUs, of each of its workers; auto is 0 where no node has one, else
    the share that holds the largest trial, by its measured peak of memory."""
    max_concurrent: Count | None = None
    """Most trials at once; null is as many as fit."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that train one trial together, each on its share of every batch."""
    placement: Placement = "pack"
    """Which nodes a trial's workers go to: pack is few nodes, spread is many; strict_pack is one
    node and strict_spread a node each, or the trial does not run."""
    gpu_memory_gib: Positive | None = None
    """GPU memory that a trial may take in each of its processes, in GiB, so that its neighbors on
    the GPU keep theirs; with gpus: auto it gives the share, too. Null is no limit, or with auto
    what was measured."""
    accelerator: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = None
    """Type of the GPU as Ray names it, such as A100 or H100; null is any."""

    @field_validator("gpus")
    @classmethod
    def _share_or_whole(cls, value: float | str) -> float | str:
        if isinstance(value, float) and value > 1 and not value.is_integer():
            raise ValueError(
                f"must be a share of one GPU or a whole number of GPUs, but got {value:g}"
            )
        return value

    @field_validator("gpu_memory_gib", "accelerator")
    @classmethod
    def _of_a_gpu(cls, value: float | str | None, info: ValidationInfo) -> float | str | None:
        if value is not None and info.data.get("gpus") == 0:
            raise ValueError(f"must be left out where gpus is 0, but got {value}")
        return value


class Retries(Component):
    """How often a trial starts again after a failure, from its last checkpoint, by kind of failure.

    The loss of a node or of the cluster is no fault of the trial's and is not counted.
    """

    exception: Retry = 0
    """Its code raised or called sys.exit; on the same data it would do so again."""
    worker_died: Retry = 1
    """Its process was killed or crashed."""
    out_of_memory: Retry = 0
    """It found no memory on the host or the GPU; such a configuration is infeasible."""
    timed_out: Retry = 0
    """It made no report within `trial_timeout_s`."""
