import itertools
from collections.abc import Sequence
from typing import get_args

import pytest

from raytune_pipe.tuning.trial_request import Strategy, TrialRequest

GPU_NODE = {"CPU": 8.0, "GPU": 4.0}
CPU_NODE = {"CPU": 4.0}


def request(workers: int, strategy: Strategy, cpus: float = 1, gpus: float = 0) -> TrialRequest:
    worker = {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {})
    return TrialRequest((worker,) * workers, strategy)


@pytest.mark.parametrize(
    ("strategy", "slots"), [("PACK", 2), ("SPREAD", 2), ("STRICT_PACK", 1), ("STRICT_SPREAD", 0)]
)
def test_a_trial_of_several_workers_fits_by_its_strategy(strategy: Strategy, slots: int) -> None:
    nodes = [CPU_NODE, {"CPU": 2.0}]
    assert request(3, strategy).slots(nodes) == slots


def test_workers_that_must_be_apart_take_a_node_each() -> None:
    assert request(2, "STRICT_SPREAD").slots([CPU_NODE]) == 0
    assert request(2, "STRICT_SPREAD").slots([CPU_NODE, GPU_NODE]) == 4
    assert request(2, "STRICT_SPREAD").slots([CPU_NODE, CPU_NODE, GPU_NODE]) == 8
    assert request(3, "STRICT_SPREAD").slots([CPU_NODE, CPU_NODE, GPU_NODE]) == 4


def test_gpus_of_several_workers_are_those_of_nodes_with_some() -> None:
    assert request(2, "PACK", gpus=1).slots([GPU_NODE, CPU_NODE]) == 2
    assert request(4, "STRICT_PACK", gpus=1).slots([GPU_NODE, GPU_NODE]) == 2
    assert request(2, "PACK", gpus=0.5, cpus=0.1).slots([GPU_NODE]) == 4


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_one_worker_fits_alike_whatever_the_strategy(strategy: Strategy) -> None:
    assert request(1, strategy).slots([CPU_NODE, GPU_NODE]) == 12


@pytest.mark.parametrize("workers", [2, 3])
def test_as_many_trials_as_can_be_placed_one_after_the_other(workers: int) -> None:
    for counts in itertools.product(range(4), repeat=3):
        nodes = [{"CPU": float(count)} for count in counts]
        for strategy in get_args(Strategy):
            found = request(workers, strategy).slots(nodes)
            assert found == _placed(counts, workers, strategy), (counts, strategy)


def _placed(free: Sequence[int], workers: int, strategy: Strategy) -> int:
    """The most trials that can be placed, by trying every place of every trial."""
    places = {
        "STRICT_PACK": [(node,) * workers for node in range(len(free))],
        "STRICT_SPREAD": list(itertools.combinations(range(len(free)), workers)),
    }.get(strategy, list(itertools.combinations_with_replacement(range(len(free)), workers)))
    most = 0
    for place in places:
        left = [count - place.count(node) for node, count in enumerate(free)]
        if min(left) >= 0:
            most = max(most, 1 + _placed(left, workers, strategy))
    return most


def test_a_request_says_what_it_is() -> None:
    assert str(request(1, "PACK", cpus=0.5)) == "0.5 CPU"
    assert str(request(4, "STRICT_PACK", gpus=1)) == "4 workers of 1 CPU and 1 GPU (strict_pack)"


def test_it_trains_on_what_its_workers_are_given() -> None:
    assert request(2, "PACK").device == "cpu"
    assert request(2, "PACK", gpus=0.5).device == "cuda"
