"""Whole runs in a bucket whose drivers die with their disks: `benchmarks/object_store.py` in short.

A cache directory of its own stands for the disk of each driver.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from raytune_pipe import launch, load_experiment, read_results
from raytune_pipe.results.bucket_runs import fetched
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.locations import local_folder
from raytune_pipe.results.manifest import read_manifest
from raytune_pipe.results.object_store import ObjectStore

pytestmark = [pytest.mark.slow, pytest.mark.ray]

POPULATION = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [16]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  epochs: 8
  batch_size: 8
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.1}
scheduler: {kind: pbt, interval_epochs: 2, quantile: 0.25}
trials: 4
resources: {cpus: 1, gpus: 0, max_concurrent: 2}
journal_sync_seconds: 0.2
"""
LAUNCH = """
import sys
from raytune_pipe import launch, load_experiment
launch(load_experiment(sys.argv[1], [f"storage={sys.argv[2]}"]))
"""
RESUME = """
import sys
import tempfile
from raytune_pipe import resume
resume(sys.argv[1])
assert "torch" not in sys.modules  # the driver trains nothing: it need not load for seconds
"""
TRAINED = ["trial_id", "report", "segment", "epoch", "val_loss", "train_loss", "optimizer.lr"]
"""Columns that no clock has a part in."""


def copied_journal(store: ObjectStore) -> bytes:
    """All of the journal that the bucket has."""
    manifest = read_manifest(store)
    return b"".join(fetched(store, one) for one in manifest.segments) if manifest else b""


def kill_after(reports: int, store: ObjectStore, *command: str) -> bytes:
    """Run a driver until the bucket has so many reports, kill it; the bucket's journal then."""
    process = subprocess.Popen([sys.executable, "-c", *command])
    deadline = time.monotonic() + 300
    while copied_journal(store).count(b'"event":"report"') < reports:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.25)
    process.kill()
    process.wait()
    return copied_journal(store)


@pytest.mark.usefixtures("local_ray")
def test_a_run_whose_drivers_lose_their_disks_comes_to_what_an_undisturbed_one_does(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, undisturbed = tmp_path / "experiment.yaml", tmp_path / "undisturbed"
    file.write_text(POPULATION)
    launch(load_experiment(file, [f"storage={undisturbed}"]))

    uri = f"{bucket}/runs/run"
    store = ObjectStore(uri)
    copied = kill_after(9, store, LAUNCH, str(file), f"{bucket}/runs")
    first = (local_folder(uri) / JOURNAL).read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    subprocess.run([sys.executable, "-c", RESUME, uri], check=True)

    final = copied_journal(store)
    assert first.startswith(copied)
    assert final.startswith(copied)  # 0 lost of what was copied
    assert final == (local_folder(uri) / JOURNAL).read_bytes()
    events = list(read_events(local_folder(uri) / JOURNAL))
    resumed = [event for event in events if event["event"] == "resume"]
    assert "what came after, in at most 0.2 s" in resumed[0]["window"]
    assert not [event for event in events if event["event"] == "anomaly"]
    attempts = Counter(
        (one["trial_id"], one["report"], one["attempt"])
        for one in events
        if one["event"] == "report"
    )
    assert set(attempts.values()) == {1}  # 0 duplicated
    expected, found = (
        read_results(path).reports[TRAINED].sort_values(["trial_id", "report"])
        for path in (undisturbed / "run", uri)
    )
    assert found.to_numpy().tolist() == expected.to_numpy().tolist()  # to the last bit
    named = {e["checkpoint"]["path"] for e in events if e["event"] == "report" and e["checkpoint"]}
    assert set(store.keys("checkpoints")) <= named  # no stray is left
    _wait_for_scratch_to_go()


def _wait_for_scratch_to_go() -> None:
    """Workers end, and delete what they kept beside them, a little after their driver."""
    deadline = time.monotonic() + 120
    while left := list(Path(tempfile.gettempdir()).glob("raytune-pipe-checkpoints-*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
