"""A real run whose driver is killed twice; `benchmarks/faults.py` does this at length."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from raytune_pipe import read_results
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.tuning.runner import resume

pytestmark = [pytest.mark.slow, pytest.mark.ray]

POPULATION = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [16]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  epochs: 8
  batch_size: 2
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.1}
scheduler: {kind: pbt, interval_epochs: 2, quantile: 0.25}
trials: 4
resources: {cpus: 1, gpus: 0, max_concurrent: 2}
"""
LAUNCH = """
import sys
from raytune_pipe import launch, load_experiment
launch(load_experiment(sys.argv[1], [f"storage={sys.argv[2]}"]))
"""
RESUME = """
import sys
from pathlib import Path
from raytune_pipe.tuning.runner import resume
resume(Path(sys.argv[1]))
"""
TRAINED = ["trial_id", "report", "segment", "epoch", "val_loss", "train_loss", "optimizer.lr"]
"""Columns that no clock has a part in."""


def kill_after(reports: int, run: Path, *command: str) -> bytes:
    """Run a driver until its run has so many reports, kill it; the whole lines of the journal."""
    process = subprocess.Popen([sys.executable, "-c", *command])
    journal = run / JOURNAL
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b'"event":"report"') >= reports):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    data = journal.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def test_a_run_killed_twice_comes_to_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(POPULATION)
    undisturbed, run = tmp_path / "undisturbed" / "run", tmp_path / "killed" / "run"
    subprocess.run([sys.executable, "-c", LAUNCH, str(file), undisturbed.parent], check=True)

    at_kills = [
        kill_after(7, run, LAUNCH, str(file), str(run.parent)),
        kill_after(21, run, RESUME, str(run)),
    ]
    subprocess.run([sys.executable, "-c", RESUME, str(run)], check=True)

    journal = (run / JOURNAL).read_bytes()
    assert all(journal.startswith(acknowledged) for acknowledged in at_kills)
    expected, found = (
        read_results(path).reports[TRAINED].sort_values(["trial_id", "report"])
        for path in (undisturbed, run)
    )
    assert found.to_numpy().tolist() == expected.to_numpy().tolist()  # to the last bit
    events = list(read_events(run / JOURNAL))
    ended = [event["trial_id"] for event in events if event["event"] == "end"]
    assert sorted(ended) == ["00000", "00001", "00002", "00003"]
    assert not [event for event in events if event["event"] == "anomaly"]
    assert not list(run.rglob(".*.*"))


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(POPULATION.replace("epochs: 8", "epochs: 2"))
    subprocess.run([sys.executable, "-c", LAUNCH, str(file), str(tmp_path)], check=True)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    outcome = resume(tmp_path / "run")
    assert (outcome.state, outcome.exit_code) == ("finished", 0)
    assert before == {
        path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()
    }
