"""The search space of results made elsewhere, as its file describes it."""

from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.results.described import space_of
from raytune_pipe.search_space import Condition

WHERE = Path("experiment.yaml")
KIND = {"kind": "choice", "options": ["sgd", "adamw"]}
FLAG = {"kind": "choice", "options": [True, False]}
SHARE = {"kind": "uniform", "low": 0.0, "high": 0.9}


def test_a_hyperparameter_may_depend_on_several_others_which_come_first() -> None:
    when = {"optimizer": "sgd", "nesterov": [True]}
    space = space_of(
        {
            "search_space": {
                "momentum": {**SHARE, "when": when},
                "nesterov": FLAG,
                "optimizer": KIND,
            }
        },
        WHERE,
    )
    assert space.names == ("nesterov", "optimizer", "momentum")
    assert space["momentum"].conditions == (
        Condition("optimizer", ("sgd",)),
        Condition("nesterov", (True,)),
    )
    assert not space.is_active("momentum", {"optimizer": "sgd", "nesterov": False})
    assert space.is_active("momentum", {"optimizer": "sgd", "nesterov": True})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"momentum": {**SHARE, "when": {"optimizer": ["sgd"]}}}, "but got optimizer"),
        ({"momentum": {**SHARE, "when": "sgd"}}, "must name hyperparameters and their values"),
        (
            {
                "optimizer": {**KIND, "when": {"nesterov": [True]}},
                "nesterov": {**FLAG, "when": {"optimizer": ["sgd"]}},
            },
            "that do not depend on this one, but got nesterov",
        ),
    ],
)
def test_conditions_that_cannot_be_are_told(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        space_of({"search_space": entries}, WHERE)
