import json
import shutil
from pathlib import Path

import pytest

from raytune_pipe.cli import job_lines
from raytune_pipe.cli.job_lines import PREFIX, status_lines, write
from raytune_pipe.cli.job_view import JobView, view_of
from raytune_pipe.cli.jobs import end_of
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.tuning.jobs import JOB_VARIABLE, JobInfo


def test_what_a_job_writes_is_what_its_watcher_reads(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(run, tmp_path / "small")
    monkeypatch.setenv(JOB_VARIABLE, "small-1")
    monkeypatch.setattr(job_lines, "EVERY_S", 0.0)
    (run / "status.json").write_text(json.dumps({"state": "finished", "exit_code": 3}))
    with status_lines(lambda _first: run) as told:
        for event in read_events(run / JOURNAL):
            told.hear(event)
    write({"result": {"best": float("nan")}})
    log = capsys.readouterr().err
    view = view_of(f"before\n{log}after\n{PREFIX}no JSON\n{PREFIX}1\n")
    assert view.path == str(run)
    assert dict(view.rows)["trials"].startswith("24: ")
    assert view.status == {"state": "finished", "exit_code": 3}
    assert view.result == {"best": None}
    assert view.table().row_count == len(view.rows)


def test_few_lines_are_written_and_none_without_a_job(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(run, tmp_path / "small")
    (run / "status.json").write_text("{}")
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    for job, lines in ((None, 0), ("small-1", 2)):
        if job:
            monkeypatch.setenv(JOB_VARIABLE, job)
            monkeypatch.setattr(job_lines, "EVERY_S", 1e9)
        with status_lines(lambda _first: run) as told:
            for event in read_events(run / JOURNAL):
                told.hear(event)
        assert capsys.readouterr().err.count(PREFIX) == lines


def test_the_runs_own_exit_code_comes_before_that_of_its_process() -> None:
    def end(state: str, of_process: int | None, **status: object) -> tuple[int, str | None]:
        info = JobInfo("small-1", state, of_process, "why\nmore", {})
        return end_of(info, JobView(status=status or None))

    assert end("FAILED", 1, exit_code=3, error=None) == (3, None)
    assert end("STOPPED", None, exit_code=143, error="SIGTERM") == (143, "SIGTERM")
    assert end("FAILED", 1, exit_code=None, error=None)[0] == 1  # killed while it ran
    assert end("FAILED", 4) == (4, "see its last lines above")
    assert end("FAILED", -9) == (137, "its process was ended by signal 9")
    assert end("FAILED", None) == (1, "why")
    assert end("STOPPED", None) == (143, "stopped")
    assert end("SUCCEEDED", 0) == (0, None)
