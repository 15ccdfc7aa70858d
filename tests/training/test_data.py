import pytest
import torch

from raytune_pipe.components.datasets import Digits
from raytune_pipe.components.task import Split
from raytune_pipe.training.data import epoch_batches, load_data, to_device

SPLIT = Split(torch.zeros(25, 2), torch.zeros(25))


def sizes(batch_size: int, *, skip_single: bool = False) -> list[int]:
    batches = epoch_batches(SPLIT, batch_size, 0, 0, skip_single=skip_single)
    return [len(batch) for batch in batches]


def test_batches_visit_every_sample_once() -> None:
    batches = epoch_batches(SPLIT, 10, seed=3, epoch=1, skip_single=False)
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert torch.cat(batches).sort().values.tolist() == list(range(25))


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(8, [8, 8, 8]), (10, [10, 10, 5]), (25, [25]), (64, [25]), (1, [1] * 25)],
)
def test_only_a_single_left_over_is_skipped(batch_size: int, expected: list[int]) -> None:
    assert sizes(batch_size, skip_single=True) == expected


def test_a_single_left_over_is_kept_otherwise() -> None:
    assert sizes(8) == [8, 8, 8, 1]


def test_a_dataset_is_loaded_once() -> None:
    assert load_data(Digits()) is load_data(Digits())
    assert load_data(Digits(split_seed=1)) is not load_data(Digits())
    assert load_data(Digits()) is load_data(Digits())


def test_its_task_counts_the_classes_that_are_trained_on() -> None:
    for dataset in (Digits(), Digits(max_samples=30)):
        data = load_data(dataset)
        assert data.task.class_counts == tuple(data.train.targets.bincount().tolist())


def test_a_third_dataset_takes_the_place_of_the_oldest() -> None:
    oldest = load_data(Digits(split_seed=10))
    load_data(Digits(split_seed=11))
    load_data(Digits(split_seed=12))
    assert load_data(Digits(split_seed=10)) is not oldest


def test_data_on_the_device_already_is_not_copied() -> None:
    data = load_data(Digits())
    assert to_device(data, torch.device("cpu")).train.inputs is data.train.inputs
