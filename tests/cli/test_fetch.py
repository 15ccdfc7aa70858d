"""Fetching a run through helpers that run here instead of on a head; `test_jobs` has a real one."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from click.testing import Result

from raytune_pipe.base import ClusterError, ConfigError, NameTakenError, ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.fetched import FETCHED, read_fetched, require_original
from raytune_pipe.results.journal import JOURNAL, Journal
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.tuning import job_fetch, job_files, job_side
from raytune_pipe.tuning.job_fetch import Fetching
from raytune_pipe.tuning.job_files import Snapshot
from raytune_pipe.tuning.job_python import HeadPython
from raytune_pipe.tuning.job_runs import ask
from raytune_pipe.tuning.job_side import find_run
from raytune_pipe.tuning.jobs import HelperOutput, Jobs

Command = Callable[..., Result]


class HelpersHere:
    """Runs what a head would run, and gives its output between lines that others write."""

    address = "http://127.0.0.1:8265"

    def __init__(self) -> None:
        self.before: list[Callable[[], object]] = []
        """Called one at a time, before each helper."""
        self.altered: Callable[[str], str] = lambda output: output

    def run(self, entrypoint: str) -> HelperOutput:
        if self.before:
            self.before.pop(0)()
        _, _, _, module, *words = shlex.split(entrypoint)
        assert module == job_side.__name__
        with redirect_stdout(StringIO()) as printed:
            job_side.main(words)
        return HelperOutput(self.altered(f"noise\n{printed.getvalue()}noise"), 0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "BETWEEN_LOOKS_S", 0.0)


@pytest.fixture
def helpers() -> HelpersHere:
    return HelpersHere()


@pytest.fixture
def there(run: Path, tmp_path: Path) -> Path:
    """A finished run, as it lies on the other side."""
    there = tmp_path / "there" / "small"
    shutil.copytree(run, there)
    with RunDirectory.reopen(there) as reopened:
        reopened.rebuild()
    return there


def fetching(helpers: HelpersHere, path: Path, *, checkpoints: bool = False) -> Fetching:
    return Fetching(cast(Jobs, helpers), HeadPython(sys.executable), str(path), checkpoints)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("[!.]*") if path.is_file() and path.name != FETCHED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_copy_is_whole_and_says_what_it_lacks(
    helpers: HelpersHere, there: Path, tmp_path: Path, command: Command
) -> None:
    here = tmp_path / "copies" / "small"
    fetching(helpers, there).fetch(here)
    expected = contents(there)
    without = {name: data for name, data in expected.items() if not name.startswith("checkpoints/")}
    assert contents(here) == without
    assert verify_run(here).problems == ()
    assert list(here.parent.iterdir()) == [here]
    refused = command("resume", here)
    assert refused.exit_code == 5
    assert f"raytune-pipe resume {there} --address {helpers.address}" in refused.stderr


def test_pieces_fit_together_and_checkpoints_come_if_asked_for(
    helpers: HelpersHere, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(len(data) for data in contents(there).values())
    monkeypatch.setattr(job_fetch, "PIECE_BYTES", size // 3 + 1)
    heard: list[int] = []
    one = fetching(helpers, there, checkpoints=True)
    here = tmp_path / "small"
    Fetching(one.jobs, one.python, one.path, True, lambda come, _all: heard.append(come)).fetch(
        here
    )
    assert len(heard) == 3
    assert contents(here) == contents(there)
    require_original(here)
    (here / "checkpoints" / "00000" / "2.pt").unlink()
    assert verify_run(here).problems


def test_what_is_published_meanwhile_is_fetched_anew_and_a_copy_replaced(
    helpers: HelpersHere, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "small"
    fetching(helpers, there).fetch(here)

    def go_on() -> None:
        with RunDirectory.reopen(there) as reopened:
            reopened.journal.append({"event": "anomaly", "what": "seen", "time": 1.0})
            reopened.rebuild()

    monkeypatch.setattr(job_fetch, "PIECE_BYTES", (there / JOURNAL).stat().st_size)
    helpers.before = [lambda: None, go_on]
    assert fetching(helpers, there).fetch(here).events == verify_run(there).events
    assert helpers.before == []
    assert b'"seen"' in (here / JOURNAL).read_bytes()


def test_of_a_run_that_goes_on_comes_what_its_tables_tell_of(there: Path) -> None:
    journal = Journal.open(there / JOURNAL)
    before = (there / JOURNAL).stat().st_size
    later: Event = {"event": "anomaly", "what": "later", "time": 1.0}
    journal.append(later)
    journal.close()
    snapshot = Snapshot.of(there, with_checkpoints=False)
    assert {file.name: file.bytes for file in snapshot.files}[JOURNAL] == before


def test_a_run_without_tables_is_told(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / JOURNAL, tmp_path)
    with pytest.raises(ResultsError, match="must have published tables"):
        Snapshot.of(tmp_path, with_checkpoints=False)


def test_nothing_else_is_overwritten_and_nothing_damaged_stays(
    helpers: HelpersHere, there: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(NameTakenError, match="--to DIR"):
        fetching(helpers, there).fetch(taken)

    reports = there / "reports.parquet"
    reports.write_bytes(reports.read_bytes()[:-1])
    with pytest.raises(ResultsError, match="must have published tables that fit their checksums"):
        fetching(helpers, there).fetch(tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))


def test_a_piece_that_was_changed_on_the_way_is_asked_for_again_and_given_up(
    helpers: HelpersHere, there: Path, tmp_path: Path
) -> None:
    helpers.altered = lambda output: output.replace('"data": "', '"data": "AAAA')
    with pytest.raises(ClusterError, match="did not in 3 tries"):
        fetching(helpers, there).fetch(tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", FETCHED, ".lock", "errors/../x"])
def test_no_file_is_written_under_another_name(
    helpers: HelpersHere, there: Path, tmp_path: Path, name: str
) -> None:
    helpers.altered = lambda output: output.replace(json.dumps(JOURNAL), json.dumps(name))
    with pytest.raises(ResultsError, match="must be the name of a run's file"):
        fetching(helpers, there).fetch(tmp_path / "copy")
    assert not list(tmp_path.glob("*copy*"))


def test_errors_of_helpers_keep_their_kind(helpers: HelpersHere, tmp_path: Path) -> None:
    looking = HeadPython(sys.executable).module("tuning.job_side", "run", "--path", str(tmp_path))
    jobs = cast(Jobs, helpers)
    with pytest.raises(ResultsError, match="must be the folder of a run"):
        ask(jobs, looking)
    helpers.altered = lambda _output: json.dumps({"error": "no", "exit_code": 2})
    with pytest.raises(ConfigError, match=r"^no\Z"):
        ask(jobs, looking)
    helpers.altered = lambda _output: "No module named raytune_pipe"
    with pytest.raises(ClusterError, match=r"exit code 0 and: No module named raytune_pipe\Z"):
        ask(jobs, looking)


def test_a_jobs_run_is_found_whatever_its_name(there: Path) -> None:
    journal = Journal.open(there / JOURNAL)
    journal.append({"event": "resume", "package_version": "0", "job": "small-1", "time": 1.0})
    journal.close()
    (there.parent / "small-3").mkdir()
    (there.parent / "small-3" / JOURNAL).write_bytes(b"damaged\n")
    shutil.copytree(there, there.parent / "small-2", dirs_exist_ok=True)
    (there / JOURNAL).write_bytes((there / JOURNAL).read_bytes().split(b'{"event":"resume"')[0])
    assert find_run(str(there.parent), "small", "small-1") == there.parent / "small-2"
    assert find_run(str(there.parent), "small", "small-9") is None


def test_what_is_no_copy_has_no_mark(there: Path) -> None:
    assert read_fetched(there) is None
    require_original(there)
