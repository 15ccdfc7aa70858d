import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from raytune_pipe.base import ResultsError
from raytune_pipe.results.events import Event
from raytune_pipe.results.reading import Results, read_results
from raytune_pipe.results.run_directory import RunDirectory

TABLES = ("trials.parquet", "reports.parquet", "lineage.parquet")


@pytest.fixture
def folder(tmp_path: Path, small_run: list[Event]) -> Path:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run)
        run.publish()
    return run.path


def assert_equal(results: Results, expected: Results) -> None:
    for name in ("trials", "reports", "lineage"):
        table, expected_table = getattr(results, name), getattr(expected, name)
        pd.testing.assert_frame_equal(table, expected_table)
        assert table.attrs == expected_table.attrs


def test_a_run_is_read_back(folder: Path) -> None:
    results = read_results(str(folder))
    assert [len(results.trials), len(results.reports), len(results.lineage)] == [3, 6, 5]
    assert results.experiment == {"name": "small", "trial": {"epochs": 3}}
    assert results.space.names == ("optimizer.kind", "optimizer.lr", "optimizer.momentum")
    assert results.objective == {"metric": "val_loss", "mode": "min", "at": "last"}
    assert results.path == folder


def test_types_are_arrows_and_nan_is_not_null(folder: Path) -> None:
    trials = read_results(folder).trials
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in trials.dtypes)
    diverged = trials.iloc[2]
    assert np.isnan(diverged["score"])
    assert diverged["train_loss"] is pd.NA
    assert not trials["score"].isna().any()


def test_a_run_that_never_published_is_read_from_its_journal(folder: Path) -> None:
    published = read_results(folder)
    for name in TABLES:
        (folder / name).unlink()
    assert_equal(read_results(folder), published)


@pytest.mark.parametrize("replaced", [1, 2])
def test_tables_of_two_moments_are_not_mixed(
    tmp_path: Path, small_run: list[Event], replaced: int
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:12])
        run.publish()
        before = {name: (run.path / name).read_bytes() for name in TABLES[replaced:]}
        run.journal.append(*small_run[12:])
        run.publish()
        whole = read_results(run.path)
        for name, data in before.items():
            (run.path / name).write_bytes(data)
        assert_equal(read_results(run.path), whole)  # it goes on
    assert_equal(read_results(run.path), whole)  # it was killed just then
    (run.path / "journal.jsonl").unlink()
    with pytest.raises(ResultsError, match=r"of one moment, or else journal\.jsonl"):
        read_results(run.path)


def test_what_a_read_showed_the_next_one_shows_too(tmp_path: Path, small_run: list[Event]) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:10])
        run.publish()
        older = (run.path / "lineage.parquet").read_bytes()
        run.journal.append(*small_run[10:14])
        run.publish()
        newer = (run.path / "lineage.parquet").read_bytes()
        run.journal.append(*small_run[14:])
        (run.path / "lineage.parquet").write_bytes(older)  # as in the middle of a publish
        amid = read_results(run.path)
        (run.path / "lineage.parquet").write_bytes(newer)
        assert_equal(read_results(run.path), amid)


@pytest.mark.parametrize("torn", [b"", b"500 0badc0de {"])
def test_a_killed_run_is_read_to_the_end_of_its_journal(
    tmp_path: Path, small_run: list[Event], torn: bytes
) -> None:
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append(*small_run[:-1])
        run.publish()
        run.journal.append(small_run[-1])
        assert "completed" not in set(read_results(run.path).trials["status"])  # it goes on
    with (run.path / "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    results = read_results(run.path)
    assert "completed" in set(results.trials["status"])
    assert results.trials.attrs["journal_number"] == len(small_run)


def test_the_journal_of_a_run_that_has_ended_is_not_read(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(bytes(journal.stat().st_size))
    assert len(read_results(folder).trials) == 3


def test_the_tables_are_enough(folder: Path) -> None:
    (folder / "journal.jsonl").unlink()
    assert len(read_results(folder).trials) == 3


def test_a_folder_that_is_not_a_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"must be the folder of a run.*but got nothing there"):
        read_results(tmp_path / "missing")
    with pytest.raises(ResultsError, match=r"must be the folder of a run.*are not there"):
        read_results(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ResultsError, match="but got a file"):
        read_results(file)


def test_a_table_of_someone_elses_is_told(folder: Path) -> None:
    pd.DataFrame({"x": [1]}).to_parquet(folder / "reports.parquet")
    with pytest.raises(ResultsError, match=r"reports\.parquet: must be a table of raytune-pipe"):
        read_results(folder)


@pytest.mark.parametrize("size", [0, 3, 1_000])
def test_a_table_cut_short_is_told(folder: Path, size: int) -> None:
    path = folder / "trials.parquet"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ResultsError, match=r"trials\.parquet: must be a whole Parquet file"):
        read_results(folder)


def test_a_changed_page_is_told(folder: Path) -> None:
    path = folder / "reports.parquet"
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ResultsError, match=r"reports\.parquet: must be a whole Parquet file"):
        read_results(folder)


def test_a_table_of_a_later_version_is_told(tmp_path: Path, small_run: list[Event]) -> None:
    first = small_run[0]
    assert first["event"] == "experiment"
    with RunDirectory.claim(tmp_path, "run") as run:
        run.journal.append({**first, "schema_version": 2})
        with pytest.raises(ResultsError, match=r"journal\.jsonl: .* but got 2"):
            read_results(run.path)
        run.publish()
        with pytest.raises(ResultsError, match=r"trials\.parquet: .* but got 2"):
            read_results(run.path)


def test_reading_needs_neither_torch_nor_ray(folder: Path) -> None:
    code = (
        "import sys; from raytune_pipe.results.reading import read_results; "
        "read_results(sys.argv[1]); sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == 0
