import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError, NameTakenError, ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import read_events
from raytune_pipe.results.lock import take_lock
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.tables import TableFold

CLAIM = """
import sys
from pathlib import Path
from raytune_pipe.base import NameTakenError
from raytune_pipe.results.run_directory import RunDirectory
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[2:]:
    try:
        run = RunDirectory.claim(Path(sys.argv[1]), name)
    except NameTakenError:
        continue
    run.write_file("winner", name)
    run.close()
    print(name, flush=True)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        assert run.path == tmp_path / "run"
        assert run.checkpoints.is_dir()
    before = contents(tmp_path)
    with pytest.raises(NameTakenError) as caught:
        RunDirectory.claim(tmp_path, "run")
    assert caught.value.exit_code == 4
    for way_on in (f"raytune-pipe resume {tmp_path}/run", "--name", "--new"):
        assert way_on in str(caught.value)
    assert contents(tmp_path) == before


def test_new_takes_the_first_free_name(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        with RunDirectory.claim(tmp_path, "run", new=True) as run:
            names.append(run.path.name)
    assert names == ["run", "run-2", "run-3"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "-rf", ".hidden", "$(id)", "a b", "x\n", "é", "x" * 101]
)
def test_a_name_must_be_fit_for_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^name: must be letters"):
        RunDirectory.claim(tmp_path / "storage", name)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30)
@given(name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z"))
def test_a_fit_name_is_one_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    storage = tmp_path_factory.mktemp("storage")
    with RunDirectory.claim(storage, name):
        assert [path.name for path in storage.iterdir()] == [name]


def test_of_two_processes_one_wins_and_the_other_touches_nothing(tmp_path: Path) -> None:
    names = [f"run-{number}" for number in range(50)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(won[0] + won[1]) == sorted(names)
    for name in names:
        files = [
            event["path"]
            for event in read_events(tmp_path / name / "journal.jsonl")
            if event["event"] == "file"
        ]
        assert files == ["winner"]


def test_the_lock_is_held_until_the_run_is_let_go(tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path, "run")
    with pytest.raises(NameTakenError):
        take_lock(run.path)
    run.close()
    take_lock(run.path).release()


def test_a_storage_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"file/storage: .* Not a directory") as caught:
        RunDirectory.claim(tmp_path / "file" / "storage", "run")
    assert caught.value.exit_code == 5


def test_a_written_file_has_its_hash_in_the_journal(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.write_file("experiment.yaml", "name: é\n")
    data = (run.path / "experiment.yaml").read_bytes()
    assert list(read_events(run.path / "journal.jsonl")) == [
        {
            "event": "file",
            "path": "experiment.yaml",
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": 9,
        }
    ]


def test_the_status_counts_the_trials(tmp_path: Path, small_run: list[Event]) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run)
        run.write_status("failed", exit_code=3, error="too few trials")
    status = json.loads((run.path / "status.json").read_text())
    assert status.pop("updated").endswith("+00:00")
    assert status == {
        "state": "failed",
        "exit_code": 3,
        "error": "too few trials",
        "journal_bytes": (run.path / "journal.jsonl").stat().st_size,
        "trials": {"running": 1, "completed": 1, "diverged": 1, "not_started": 1},
    }


def test_pandas_reads_the_tables_of_a_run_that_goes_on(
    tmp_path: Path, small_run: list[Event]
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        lengths = []
        for event in small_run:
            run.journal.append(event)
            run.publish()
            reports = pd.read_parquet(run.path / "reports.parquet")
            assert reports.attrs["journal_number"] == run.journal.number
            lengths.append(len(reports))
        trials = pd.read_parquet(run.path / "trials.parquet")
        run.publish()
    assert lengths == sorted(lengths)
    assert trials.attrs["experiment"]["name"] == "small"
    assert list(trials["status"]) == ["running", "completed", "diverged"]
    assert {path.name for path in run.path.iterdir()} == {
        *(".lock", "journal.jsonl", "checkpoints", "status.json", "SHA256SUMS"),
        *("trials.parquet", "reports.parquet", "lineage.parquet"),
    }


def test_the_status_of_a_run_that_goes_on_is_as_new_as_its_tables(
    tmp_path: Path, small_run: list[Event]
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:-1])
        run.write_status("running")
        run.journal.append(small_run[-1])
        run.publish()
        status = json.loads((run.path / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("running", None)
    assert status["trials"] == {"running": 1, "completed": 1, "diverged": 1, "not_started": 1}


def test_nothing_is_published_before_there_is_an_experiment(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.publish()
    assert not list(run.path.glob("*.parquet"))


def test_an_event_that_an_interrupt_kept_from_being_noted_is_published(
    tmp_path: Path, small_run: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:-1])
        with monkeypatch.context() as patched:
            patched.setattr(TableFold, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run.journal.append(small_run[-1])
        run.publish()
    trials = pd.read_parquet(run.path / "trials.parquet")
    assert list(trials["status"]) == ["running", "completed", "diverged"]


def test_garbage_is_collected_and_nothing_else(tmp_path: Path, small_run: list[Event]) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        for event in small_run:
            if event["event"] == "report" and event["checkpoint"]:
                path = run.path / event["checkpoint"]["path"]
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"weights")
        run.journal.append(*small_run)
        unreported = run.checkpoints / "00000" / "3.pt"
        unreported.write_bytes(b"weights of a report that is on its way")
        run.collect_garbage()
        run.collect_garbage()
    left = {str(path.relative_to(run.checkpoints)) for path in run.checkpoints.rglob("*.pt")}
    assert left == {"00000/2.pt", "00000/3.pt", "00001/2.pt"}


def test_what_killed_processes_left_is_cleared_away(tmp_path: Path, small_run: list[Event]) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run)
        names = ["00000/2.pt", "00001/2.pt", "00001/2-1.pt", "00002/.1.pt.123.tmp"]
        for name in names:
            (run.checkpoints / name).parent.mkdir(exist_ok=True)
            (run.checkpoints / name).write_bytes(b"weights")
        run.clear_away_strays()
    left = {str(path.relative_to(run.checkpoints)) for path in run.checkpoints.glob("*/*")}
    assert left == {"00000/2.pt", "00001/2.pt"}
