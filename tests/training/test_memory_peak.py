import pytest
import torch

from raytune_pipe.components.datasets import Digits
from raytune_pipe.training.data import load_data
from raytune_pipe.training.evaluation import EVALUATION_BATCH
from raytune_pipe.training.memory_peak import first_batch, measure_peak
from raytune_pipe.trial import Trial


def trial(batch_size: int) -> Trial:
    return Trial.model_validate_json(
        '{"dataset": {"kind": "digits"}, "model": {"kind": "mlp"}, "epochs": 1,'
        ' "loss": {"kind": "cross_entropy"}, "optimizer": {"kind": "sgd", "lr": 0.1},'
        f' "batch_size": {batch_size}}}'
    )


def test_one_batch_is_taken_of_each_part() -> None:
    data = load_data(Digits())
    cut = first_batch(data, batch_size=32)
    assert len(cut.train.inputs) == len(cut.train.targets) == 32
    assert len(cut.validation.inputs) == min(EVALUATION_BATCH, len(data.validation.inputs))
    assert cut.task is data.task
    assert torch.equal(cut.train.inputs, data.train.inputs[:32])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_larger_batch_takes_more_of_a_gpu() -> None:
    small, large = measure_peak(trial(16)), measure_peak(trial(1024))
    assert 0 < small.allocator_bytes <= large.allocator_bytes < small.total_bytes
    assert small.context_bytes > 0
