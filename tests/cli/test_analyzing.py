"""What analyze says of a stored run and leaves there, and that launch --analyze does the same."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result

from raytune_pipe.cli.running import Ending
from raytune_pipe.tuning.runner import Outcome

Command = Callable[..., Result]


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A finished run of 24 trials that a test may write to."""
    return Path(shutil.copytree(run, tmp_path / "copied"))


def with_trials(run: Path, trials: int) -> Path:
    """The run with its first trials only, as tables without a journal."""
    for name in ("trials", "reports"):
        file = run / f"{name}.parquet"
        table = pd.read_parquet(file)
        table[table["trial_id"].isin([f"{number:05d}" for number in range(trials)])].to_parquet(
            file
        )
    (run / "journal.jsonl").unlink()
    return run


def ended(run: Path, *, as_json: bool = False) -> None:
    """Show the end of a launch with --analyze, whose run this was."""
    Ending(analyze=True, as_json=as_json, alone=(), options=()).show(Outcome(run, "finished", 0))


def test_the_report_has_the_ranking_first_and_a_section_for_each_reading(
    command: Command, copied: Path
) -> None:
    shown = command("analyze", copied).stdout
    titles = ["Effects", "Among good trials", "Around the best trial", "What practitioners say"]
    places = [shown.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)
    assert shown.index("24 usable trials") < places[0]


def test_json_has_the_documented_keys_and_only_numbers_that_are_numbers(
    command: Command, copied: Path
) -> None:
    def no_constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(command("analyze", copied, "--json").stdout, parse_constant=no_constant)
    ranking = {"objective", "method", "r2", "refused", "ranking", "tiers", "verdicts", "pairs"}
    readings = {"failures", "shape", "folklore", "budgets", "phases", "clones", "of_trials"}
    assert ranking | readings <= found.keys()
    assert found["ranking"][0].keys() == {"name", "first", "total"}
    assert found["shape"].keys() == {"effects", "surface", "optimum"}
    assert found["of_trials"].keys() == {"good", "local", "ablation", "isolations"}
    assert found["clones"] is None


def test_the_ranking_is_kept_beside_the_tables(command: Command, copied: Path) -> None:
    found = json.loads(command("analyze", copied, "--json").stdout)
    kept = pd.read_parquet(copied / "importance.parquet")
    assert kept["name"].tolist() == [one["name"] for one in found["ranking"]]
    assert kept["total"].tolist() == [one["total"]["value"] for one in found["ranking"]]
    assert command("verify", copied).exit_code == 0


def test_too_few_trials_are_said_with_a_code_of_their_own(command: Command, copied: Path) -> None:
    few = with_trials(copied, 6)
    result = command("analyze", few)
    assert result.exit_code == 3
    assert "at least 20 usable trials are needed, but got 6: run more" in result.stdout
    assert "Effects" not in result.stdout
    assert pd.read_parquet(few / "importance.parquet").empty


def test_an_empty_folder_is_no_run(command: Command, tmp_path: Path) -> None:
    result = command("analyze", tmp_path)
    assert result.exit_code == 5
    assert result.stdout == ""
    assert str(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_launch_shows_and_keeps_what_analyze_does(
    command: Command, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(copied)
    shown = capsys.readouterr().out
    kept = (copied / "importance.parquet").read_bytes()
    report = command("analyze", copied).stdout.rpartition("next: ")[0]
    assert "\nEffects\n" in report
    assert report in shown
    assert (copied / "importance.parquet").read_bytes() == kept
    assert shown.endswith(f"next: raytune-pipe best {copied}\n")


def test_launch_says_in_json_what_analyze_does(
    command: Command, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(copied, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["importance"] == json.loads(command("analyze", copied, "--json").stdout)


def test_a_launch_of_too_few_trials_shows_why_nothing_is_ranked(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = with_trials(copied, 6)
    ended(few)
    shown = capsys.readouterr().out
    assert "at least 20 usable trials are needed, but got 6: run more" in shown
    assert shown.endswith(f"next: raytune-pipe best {few}\n")
