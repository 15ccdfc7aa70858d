"""Trials on two workers under ASHA and PBT: as on one worker, also after failures and a stop."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from raytune_pipe import launch, load_experiment, read_results
from raytune_pipe.experiment import Experiment
from raytune_pipe.results.control import request_stop
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.reading import Results
from raytune_pipe.tuning.assignment import Failure, TrialFailed
from raytune_pipe.tuning.ray_errors import failure_of
from raytune_pipe.tuning.runner import resume

pytestmark = pytest.mark.ray

SEARCH = """
name: run
trial:
  dataset: {kind: digits}
  model: {kind: mlp, widths: [32]}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  regularizers: {clip_norm: {max_norm: 5.0}}
  epochs: 3
search_space:
  optimizer.lr: {kind: log_uniform, low: 1e-3, high: 0.05}
  batch_size: {kind: choice, options: [50, 100, 200]}
trials: 4
resources: {cpus: 0.5, gpus: 0, max_concurrent: 1}
"""
ASHA = "scheduler={kind: asha, grace_epochs: 1, reduction_factor: 2}"
PBT = "scheduler={kind: pbt, interval_epochs: 1, quantile: 0.5}"
TWO = "resources.workers=2"
KEY = ["trial_id", "report"]
LOSSES = ["train_loss", "val_loss"]
TRAINED = [*KEY, "segment", "epoch", "step", "optimizer.lr", "batch_size", "lr"]
"""Columns that no clock has a part in."""
DECIDED = ["trial_id", "operation", "rung", "donor", "donor_report", "hyperparameter", "after"]
TOLERANCE = 1e-5
"""Of losses after three epochs: sums in another order differ in their last digits."""

FAILING = """
name: run
trial:
  dataset: {kind: imported, target: "poison:healthy"}
  model: {kind: imported, target: "poison:FailsInOneRank", args: {how: memory 1, notes: NOTES}}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.05}
  epochs: 2
  batch_size: 16
search_space:
  model.args.how: {kind: choice, options: [memory 1, killed 0, killed 1]}
searcher: {kind: grid}
trials: 3
resources: {cpus: 0.5, gpus: 0, workers: 2, max_concurrent: 1}
"""


def load(folder: Path, text: str, overrides: Sequence[str] = ()) -> Experiment:
    file = folder / "experiment.yaml"
    file.write_text(text)
    return load_experiment(file, [f"storage={folder}", *overrides], allow_imports=["poison"])


def run(folder: Path, *overrides: str) -> Results:
    folder.mkdir()
    return read_results(launch(load(folder, SEARCH, overrides)).path)


def rows(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """The rows as texts that can be sorted and compared, nulls and floats to the last bit."""
    return sorted(repr(row) for row in frame[columns].astype(object).values.tolist())


@pytest.fixture(scope="module")
def population(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A population on two workers each, left in peace."""
    request.getfixturevalue("local_ray")
    return run(tmp_path_factory.mktemp("two") / "pbt", PBT, TWO)


def assert_alike(found: Results, expected: Results) -> None:
    assert found.trials["status"].tolist() == expected.trials["status"].tolist()
    assert rows(found.reports, TRAINED) == rows(expected.reports, TRAINED)
    assert rows(found.lineage, DECIDED) == rows(expected.lineage, DECIDED) != []
    losses = [each.reports.sort_values(KEY)[LOSSES].to_numpy(float) for each in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
class TestTwoWorkers:
    def test_come_to_what_one_does_under_asha(self, tmp_path: Path) -> None:
        assert_alike(run(tmp_path / "two", ASHA, TWO), run(tmp_path / "one", ASHA))

    def test_come_to_what_one_does_under_pbt(self, tmp_path: Path, population: Results) -> None:
        assert_alike(population, run(tmp_path / "one", PBT))

    def test_are_stopped_and_go_on_as_if_they_had_not_been(
        self, tmp_path: Path, population: Results
    ) -> None:
        heard: list[Event] = []

        def stop_at_the_sixth_report(event: Event) -> None:
            heard.append(event)
            if [each["event"] for each in heard].count("report") == 6:
                request_stop(tmp_path / "run")

        experiment = load(tmp_path, SEARCH, [PBT, TWO])
        assert launch(experiment, listener=stop_at_the_sixth_report).state == "interrupted"
        assert resume(tmp_path / "run").state == "finished"
        resumed = read_results(tmp_path / "run")
        columns = [*TRAINED, *LOSSES]
        assert rows(resumed.reports, columns) == rows(population.reports, columns)

    def test_fail_for_the_reason_of_the_one_that_does(self, tmp_path: Path) -> None:
        for kills in ("killed 0", "killed 1"):
            (tmp_path / kills).touch()
        seen: set[int] = set()
        experiment = load(tmp_path, FAILING.replace("NOTES", str(tmp_path)))

        def look(event: Event) -> None:
            if event["event"] == "report":
                seen.update(_peers())

        outcome = launch(experiment, listener=look)
        assert seen
        trials = read_results(outcome.path).trials
        ends = zip(trials["model.args.how"], trials["status"], trials["reason"], strict=True)
        assert sorted(ends) == [
            ("killed 0", "completed", "budget"),
            ("killed 1", "completed", "budget"),
            ("memory 1", "out_of_memory", "MemoryError: no room"),
        ]
        events = list(read_events(outcome.path / JOURNAL))
        assert [event["kind"] for event in events if event["event"] == "retry"] == [
            *("worker_died", "worker_died")
        ]
        assert not [event for event in events if event["event"] == "anomaly"]
        _wait_until_no_peer_is_left()


def _wait_until_no_peer_is_left() -> None:
    deadline = time.monotonic() + 30
    while left := _peers():
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _peers() -> set[int]:
    """Numbers of the processes of other ranks that this session's Ray has started."""
    raylets = _children(os.getpid())
    workers = {worker for raylet in raylets for worker in _children(raylet)}
    return {worker for worker in workers if b"ray::Peer" in _read(worker, "cmdline")}


def _children(pid: int) -> set[int]:
    found = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    return {each for each in found if f"\nPPid:\t{pid}\n".encode() in _read(each, "status")}


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended
        return b""


def test_a_failure_survives_what_ray_makes_of_it() -> None:
    failure = Failure("out_of_memory", 'no "room"\nat all', "Traceback\n  ValueError: {x}")
    told = f"raytune_pipe.tuning.assignment.TrialFailed: {TrialFailed(failure)}"
    text = f"ray::TrialActor.train() (pid=7, ip=127.0.0.1)\n  File\n{told}\n"
    assert failure_of(text, memory_was_short=False) == failure
