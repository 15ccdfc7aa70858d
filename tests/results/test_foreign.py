import re
from pathlib import Path

import pandas as pd
import pytest

from raytune_pipe.base import ConfigError, ResultsError
from raytune_pipe.results.reading import read_results

DOCS = Path(__file__).parents[2] / "docs" / "results.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trials = {"trial_id": ["a", "b"], "status": "completed", "x": [0.2, 0.4], "acc": [0.5, 0.9]}
    reports = {"trial_id": ["a", "b", "b"], "report": [1, 1, 2], "epoch": [1, 1, 2]}
    pd.DataFrame(trials).to_parquet(tmp_path / "trials.parquet")
    pd.DataFrame({**reports, "acc": [0.5, 0.6, 0.9]}).to_parquet(tmp_path / "reports.parquet")
    (tmp_path / "experiment.yaml").write_text(
        "search_space: {x: {kind: uniform, low: 0, high: 1}}\nobjective: {metric: acc, mode: max}\n"
    )
    return tmp_path


def test_plain_tables_are_read_with_all_our_columns(folder: Path) -> None:
    results = read_results(folder)
    assert results.trials["score"].tolist() == [-0.5, -0.9]
    assert results.trials["best_report"].tolist() == [1, 2]
    assert results.reports["x"].tolist() == [0.2, 0.4, 0.4]
    assert results.reports["segment"].tolist() == [0, 0, 0]
    assert results.lineage.empty
    assert results.objective == {"metric": "acc", "mode": "max", "at": "last"}


def test_a_missing_column_is_named(folder: Path) -> None:
    table = pd.read_parquet(folder / "trials.parquet").drop(columns="x")
    table.to_parquet(folder / "trials.parquet")
    with pytest.raises(ResultsError, match=r"trials.parquet: must have .* but lacks x"):
        read_results(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "must be YAML"),
        ("name: x", "search_space: must name"),
        ("search_space: {x: {kind: uniform, low: 2, high: 1}}", "search_space.x"),
        ("search_space: {x: {kind: uniform, low: 0, high: 1}}", "objective: must name the metric"),
    ],
)
def test_a_bad_experiment_is_told(folder: Path, text: str, says: str) -> None:
    (folder / "experiment.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_results(folder)


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile(block, "results.md", "exec"), {})
    assert "'lr'" in capsys.readouterr().out
