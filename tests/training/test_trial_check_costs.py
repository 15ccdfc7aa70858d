import pytest
import torch

from raytune_pipe.training.trial_check_costs import (
    LiveTensors,
    available_bytes,
    duration,
    largest_fitting,
)


@pytest.mark.parametrize(
    ("limit", "largest"), [(10**6, 1000), (300, 256), (64, 64), (40, 32), (5, 4), (0, 0)]
)
def test_batches_double_up_to_the_limit_and_halve_down_to_it(limit: int, largest: int) -> None:
    assert largest_fitting(lambda size: size <= limit, start=64, most=1000) == largest


def test_live_tensors_are_those_not_yet_freed() -> None:
    mega = 2**20
    with LiveTensors() as live:
        kept = torch.zeros(mega, dtype=torch.uint8)
        for _ in range(3):
            passing = kept + 1
            view = passing[:10]  # shares its memory
            del passing, view
    assert live.peak_bytes == pytest.approx(2 * mega, rel=0.01)


def test_some_memory_is_available() -> None:
    assert 2**20 < available_bytes() < 2**50


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.004, "0.004 s"), (100, "100 s"), (240, "4 min"), (9000, "2.5 h"), (259200, "3 days")],
)
def test_durations_are_in_a_fitting_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
