import pytest
import torch

from raytune_pipe.base import TrialError
from raytune_pipe.training.memory import is_out_of_memory, limit_gpu_memory, memory_errors


def test_the_cpu_allocator_tells_that_memory_ran_out() -> None:
    with pytest.raises(TrialError, match=r"fit into memory, but got: .*alloc"), memory_errors():
        torch.empty(2**50)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), memory_errors():
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_out_of_memory(RuntimeError("no"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())


def test_a_trial_with_a_gpu_that_torch_does_not_see_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        TrialError, match=r"torch must see the GPU .* sees none on .* resources.gpus=0"
    ):
        limit_gpu_memory(None)
