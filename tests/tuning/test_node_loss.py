"""Nodes that are taken away from under a run; `benchmarks/node_faults.py` does this at length."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import pytest

from raytune_pipe.base import NameTakenError
from raytune_pipe.results.events import Event
from raytune_pipe.results.holder import Holder
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.lock_files import LOCK
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.status import STATUS
from raytune_pipe.tuning.leaving_nodes import OwnNode

from benchmarks import simulated_run
from benchmarks.fault_checks import check, events_of
from benchmarks.node_checks import check_nodes

POPULATION = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [16]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  epochs: 50
  batch_size: 4
search_space:
  optimizer.momentum: {kind: uniform, low: 0.5, high: 0.9}
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.1}
scheduler: {kind: pbt, interval_epochs: 10, quantile: 0.25}
trials: 4
resources: {cpus: 1, gpus: 0.5}
"""
DISTURB = """
import sys
from pathlib import Path
from benchmarks.fake_cluster import fake_cluster
from benchmarks.node_checks import notes_of
from benchmarks.node_faults import DisturbedRun

folder = Path(sys.argv[1])
with fake_cluster(nodes=2, cpus=2) as cluster:
    leaving, killed = cluster.nodes
    run = DisturbedRun(folder, cluster, str(folder / "experiment.yaml"))
    run.goes_on_for(300, until=lambda: {n["node"] for n in notes_of(folder)} == {leaving, killed})
    cluster.drain(leaving, within_s=600)
    on = lambda node: {n["trial_id"] for n in notes_of(folder) if n["node"] == node}
    moving = on(leaving)
    run.goes_on_for(300, until=lambda: moving <= on(killed))
    run.note_fault("drained")
    cluster.add()
    cluster.kill(killed)
    run.note_fault("killed")
    run.end()
    (folder / "wrong.txt").write_text("\\n".join(run.wrong))
    (folder / "at_drain.jsonl").write_bytes(run.at_faults[0])
"""


@pytest.mark.ray
@pytest.mark.slow
def test_the_trials_of_a_node_that_leaves_or_dies_go_on_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(POPULATION)
    subprocess.run([sys.executable, "-c", DISTURB, str(tmp_path)], check=True, timeout=900)

    assert (tmp_path / "wrong.txt").read_text() == "", (tmp_path / "output.txt").read_text()
    run, at_drain = tmp_path / "run", (tmp_path / "at_drain.jsonl").read_bytes()
    found, nodes = check(run, [at_drain]), check_nodes(run)
    assert (found.lost, found.duplicated, nodes.finished_again) == (0, 0, 0)
    assert found.wrong + nodes.wrong == []
    assert nodes.nodes == 3
    assert 0.5 <= nodes.most_on_a_gpu <= 1
    # Told before, it costs nothing; by surprise, epochs are made again, and no retry is used up.
    assert retries(events_of(at_drain)) == []
    assert nodes.moved > 0
    ends = [event for event in read_events(run / JOURNAL) if event["event"] == "end"]
    assert {event["status"] for event in ends} == {"completed"}


def retries(events: list[Event]) -> list[str]:
    return [event["kind"] for event in events if event["event"] == "retry"]


def test_a_run_whose_drivers_node_has_died_is_gone_on_with_on_another(tmp_path: Path) -> None:
    experiment = simulated_run.experiment_of(
        {"kind": "pbt", "interval_epochs": 2}, trials=4, epochs=6
    )
    with patch.object(RunDirectory, "collect_garbage"):  # so that the run can be cut
        simulated_run.launch(experiment, tmp_path, lambda _event: None)
    whole = list(read_events(tmp_path / "run" / JOURNAL))
    run = tmp_path / "cut"
    shutil.copytree(tmp_path / "run", run, ignore=shutil.ignore_patterns(f"{LOCK}*", STATUS))
    lines = (run / JOURNAL).read_bytes().splitlines(keepends=True)
    (run / JOURNAL).write_bytes(b"".join(lines[: len(lines) // 2]))
    driver = asdict(Holder.here(1, has_flock=False)) | {"host": "dead", "boot_id": "its own"}
    (run / LOCK).write_text(json.dumps(driver))

    with pytest.raises(NameTakenError, match="--steal-lock"):  # it may be alive still
        simulated_run.resume(run, lambda _event: None)
    os.utime(run / LOCK, (time.time() - 61,) * 2)  # its last heartbeat
    simulated_run.resume(run, lambda _event: None)

    events = list(read_events(run / JOURNAL))
    (resumed,) = [event for event in events if event["event"] == "resume"]
    assert resumed["took_over"].endswith("its last heartbeat was 61 s ago")
    assert [event for event in events if event["event"] == "anomaly"] == []
    assert {ended(events)[name] for name in ended(whole)} == {1}


def ended(events: list[Event]) -> Counter[str]:
    return Counter(event["trial_id"] for event in events if event["event"] == "end")


def test_a_worker_asks_at_times_whether_its_node_leaves_and_trains_on_without_an_answer() -> None:
    answers: list[frozenset[str]] = [frozenset({"other"}), frozenset({"own", "other"})]
    own = OwnNode("own", lambda: answers.pop(0))
    assert not own.is_leaving()
    assert not own.is_leaving()  # it does not ask again so soon
    assert len(answers) == 1
    own.look_at = 0.0
    assert own.is_leaving()
    own.look_at = 0.0
    assert own.is_leaving()  # it stays so, and nobody is asked
    without_answer = OwnNode("own", lambda: answers[0])
    assert not without_answer.is_leaving()
