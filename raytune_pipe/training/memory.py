"""Telling an exhausted memory from other errors, on the host and on every accelerator."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from raytune_pipe.base import TrialError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out.

    ``torch.OutOfMemoryError`` is a RuntimeError by name on every backend; the CPU allocator raises
    a plain RuntimeError that says so.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def limit_gpu_memory(limit_gib: float | None) -> None:
    """Let PyTorch's allocator take so much of the current GPU and no more; None is all of it.

    What goes beyond is an `OutOfMemoryError` here, and not at a neighbor's.

    Raises:
        TrialError: torch has no GPU that it can use.
    """
    import torch  # here, since the driver of a run, which trains nothing, needs the names above

    if not torch.cuda.is_available():
        raise TrialError(
            f"resources.gpus: torch must see the GPU that a trial is given, but torch "
            f"{torch.__version__} sees none on {platform.node()}; install a build with CUDA there, "
            "or set resources.gpus=0"
        )
    total_bytes = torch.cuda.mem_get_info()[1]
    share = 1.0 if limit_gib is None else min(1.0, limit_gib * 2**30 / total_bytes)
    torch.cuda.set_per_process_memory_fraction(share)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn an exhausted memory into a `TrialError` that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise TrialError(
            f"the trial must fit into memory, but got: {reason}; choose a smaller model or"
            " batch_size"
        ) from error
