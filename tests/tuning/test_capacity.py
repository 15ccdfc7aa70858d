"""How many trials a cluster holds, as its nodes come and go."""

import threading

import pytest

from raytune_pipe.tuning.capacity import AHEAD, Capacity, Nodes, slots_of
from raytune_pipe.tuning.trial_request import TrialRequest

ONE_CPU = TrialRequest(({"CPU": 1.0},))
FOUR = ({"CPU": 4.0},)


@pytest.mark.parametrize(
    ("nodes", "most", "grows", "slots"),
    [
        (FOUR, 100, False, 4),
        (FOUR, 3, False, 3),
        ((*FOUR, *FOUR), 100, False, 8),
        ((), 100, False, 1),  # all are lost: the next one that comes is asked for
        ((), 100, True, AHEAD),
        (FOUR * 10, 1000, True, 80),
        (FOUR * 10, 50, True, 50),
    ],
)
def test_slots_follow_the_nodes(nodes: Nodes, most: int, grows: bool, slots: int) -> None:
    assert slots_of(ONE_CPU, nodes, most, grows=grows) == slots


def test_nodes_that_come_later_are_counted() -> None:
    found: list[Nodes] = [FOUR]
    counted = threading.Semaphore(0)

    def alive() -> Nodes:
        counted.release()
        return found[-1]

    with Capacity(ONE_CPU, most=100, grows=False, alive=alive, every_s=0.01) as capacity:
        assert capacity.slots == 4
        found.append(FOUR * 2)
        for _ in range(3):  # one count may have begun before
            counted.acquire()
        assert capacity.slots == 8


def test_it_ends_with_ray() -> None:
    answers = [FOUR]

    def alive() -> Nodes:
        if not answers:
            raise ConnectionError("Ray is shut down")
        return answers.pop()

    with Capacity(ONE_CPU, most=100, grows=False, alive=alive, every_s=0.01) as capacity:
        capacity._thread.join()
        assert capacity.slots == 4
