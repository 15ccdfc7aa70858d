from pathlib import Path

import pandas as pd
import pytest

from raytune_pipe.analysis.warned_trials import WarnedTrials, warned_trials
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import SearchSpace

TOLD = "loss_terms_apart: a: 1, b: 300"


def results_of(trials: pd.DataFrame) -> Results:
    objective = {"metric": "val_loss", "mode": "min", "at": "last"}
    empty = pd.DataFrame()
    return Results(trials, empty, empty, {}, SearchSpace(()), objective, Path("run"))


@pytest.mark.parametrize("dtype", [object, "string[pyarrow]"])
def test_each_kind_names_its_trials(dtype: str) -> None:
    warnings = pd.Series([None, TOLD, f"{TOLD}\nother: odd"], dtype=dtype)
    trials = pd.DataFrame({"trial_id": ["00000", "00001", "00002"], "warnings": warnings})
    found = warned_trials(results_of(trials))
    assert found == (
        WarnedTrials("loss_terms_apart", ("00001", "00002"), 3, "a: 1, b: 300"),
        WarnedTrials("other", ("00002",), 3, "odd"),
    )
    assert found[0].to_mapping()["trials"] == ["00001", "00002"]


def test_tables_of_before_have_no_warnings() -> None:
    assert warned_trials(results_of(pd.DataFrame({"trial_id": ["00000"]}))) == ()
