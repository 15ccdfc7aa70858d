"""Searches in simulated training are compared from equal numbers of epochs."""

import math
import statistics

import pytest

from benchmarks.importance.simulated_populations import WORLDS, population_run
from benchmarks.pb2_against_pbt import EPOCHS, SEARCHES, final_loss, losses, row


def test_all_searches_train_the_same_epochs_in_a_world_without_divergence() -> None:
    for search in SEARCHES.values():
        run = population_run(WORLDS[0], members=4, epochs=EPOCHS, seed=0, **search)
        assert len(run.reports) == 4 * EPOCHS


def test_bandits_end_below_random_search() -> None:
    found = {search: losses(WORLDS[0], 4, search, range(4)) for search in SEARCHES}
    assert statistics.mean(found["pb2"]) < statistics.mean(found["random"])
    assert row(WORLDS[0], 4, found).startswith("| rates | 4 | ")


def test_the_loss_is_that_of_the_best_member_of_full_age() -> None:
    run = population_run(WORLDS[0], members=4, epochs=EPOCHS, seed=1, kind="fifo")
    best = float(run.trials["score"].astype(float).min())
    assert final_loss(run) == pytest.approx(math.log(best))
