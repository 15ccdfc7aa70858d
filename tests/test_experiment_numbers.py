"""Which whole numbers an experiment may hold: those that a column of a table can."""

from typing import Any

import pytest

from tests.test_experiment_checks import NETS, experiment, problems

MOST = 2**63 - 1


def test_whole_numbers_that_a_table_can_hold_are_taken() -> None:
    dataset = {"kind": "digits", "split_seed": MOST}
    model = {**NETS, "args": {"width": -(2**53)}}
    made = experiment({}, seed=MOST, trial={"seed": MOST, "dataset": dataset, "model": model})
    assert (made.seed, made.trial.seed) == (MOST, MOST)


@pytest.mark.parametrize(
    ("trial", "fields", "path"),
    [
        ({}, {"seed": MOST + 1}, "seed"),
        ({"seed": 10**20}, {}, "trial.seed"),
        ({"seed": -1}, {}, "trial.seed"),
        ({"dataset": {"kind": "digits", "split_seed": 10**20}}, {}, "trial.dataset.digits.split_"),
        ({"epochs": 10**10}, {}, "trial.epochs"),
        ({"batch_size": 10**20}, {}, "trial.batch_size"),
        ({"schedule": {"kind": "plateau", "cooldown": 10**20}}, {}, "trial.schedule.plateau.cool"),
        ({"model": {"kind": "resnet", "depth": 6 * 10**20 + 2}}, {}, "trial.model.resnet.depth"),
        ({"model": {**NETS, "args": {"a": {"b": 10**20}}}}, {}, "trial.model.imported.args"),
        ({}, {"trials": 10**10}, "trials"),
    ],
)
def test_whole_numbers_that_no_table_can_hold_are_told(
    trial: dict[str, Any], fields: dict[str, Any], path: str
) -> None:
    (told,) = problems({}, trial=trial, **fields)
    assert told.startswith(path)
