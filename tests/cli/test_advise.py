"""`raytune-pipe advise`: every range with its reason, or those of one hyperparameter."""

import json
from collections.abc import Callable

from click.testing import Result

from raytune_pipe.advice_table import ADVICE

Command = Callable[..., Result]


def test_every_range_has_its_reason_and_sources(command: Command) -> None:
    result = command("advise")
    assert result.exit_code == 0, result.output
    for advice in ADVICE:
        assert f"({', '.join(advice.by)}). {advice.reason}" in result.stdout
        assert all(f"or: {other.words} (" in result.stdout for other in advice.alternatives)
    taken = "search_space.optimizer.lr={kind: advised}"
    assert result.stdout.splitlines()[-1] == (
        f"next: raytune-pipe plan EXPERIMENT.yaml --set '{taken}'"
    )


def test_a_path_chooses_what_is_at_and_beneath_it(command: Command) -> None:
    result = command("advise", "optimizer.momentum", "--json")
    (told,) = json.loads(result.stdout)
    assert told["hyperparameter"] == "optimizer.momentum"
    assert told["distribution"] == {"kind": "one_minus_log_uniform", "low": 0.5, "high": 0.98}
    beneath = json.loads(command("advise", "optimizer", "--json").stdout)
    assert {each["hyperparameter"].split(".")[0] for each in beneath} == {"optimizer"}
    assert len(beneath) > 5


def test_a_path_without_advice_is_told(command: Command) -> None:
    result = command("advise", "optimizer.lx")
    assert result.exit_code == 2
    assert "did you mean 'optimizer.lr'?" in result.stderr
    assert command("advise", "opt").exit_code == 2
