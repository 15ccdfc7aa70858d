"""More trials or more epochs for a run that there is: as if it had been launched like that."""

import json
from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.base import ConfigError
from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file import load_experiment
from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events, recorded_experiment
from raytune_pipe.results.reading import read_results
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.results.verifying import verify_run
from raytune_pipe.scheduling.successive_halving import is_control
from raytune_pipe.tuning.extending import extend, is_extension
from raytune_pipe.tuning.resuming import recorder_of
from raytune_pipe.tuning.runner import prepare

from benchmarks.simulated_run import experiment_of, launch, run_to_end

FIFO: dict[str, Any] = {"kind": "fifo"}
ASHA: dict[str, Any] = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2}


def hear(_event: Event) -> None:
    """Nothing."""


def go_on(path: Path, asked: Experiment | None = None) -> None:
    with RunDirectory.reopen(path) as run:
        recorder = recorder_of(run, hear)
        if asked:
            extend(recorder, asked)
        run_to_end(recorder)
        run.publish()
        run.rebuild()


def losses(path: Path) -> dict[tuple[str, int], float]:
    reports = read_results(path).reports
    keys = zip(reports["trial_id"], reports["report"].astype(int), strict=True)
    return dict(zip(keys, reports["val_loss"], strict=True))


def test_more_trials_and_epochs_come_to_what_a_larger_launch_does(tmp_path: Path) -> None:
    launch(experiment_of(FIFO, trials=3, epochs=2), tmp_path / "small", hear)
    large = experiment_of(FIFO, trials=5, epochs=6)
    launch(large, tmp_path / "large", hear)
    run = tmp_path / "small" / "run"
    before = (run / JOURNAL).read_bytes()
    go_on(run, large)
    assert (run / JOURNAL).read_bytes().startswith(before)
    assert losses(run) == losses(tmp_path / "large" / "run")
    trials = read_results(run).trials
    assert trials["status"].tolist() == ["completed"] * 5
    assert trials["epochs"].tolist() == [6] * 5
    assert trials["attempts"].tolist() == [2, 2, 2, 1, 1]
    assert load_experiment(run / "experiment.yaml").trials == 5
    assert [one for one in verify_run(run).problems if one.path != "status.json"] == []


def test_a_run_extended_and_cut_off_anywhere_goes_on_extended(tmp_path: Path) -> None:
    launch(experiment_of(ASHA, trials=3, epochs=3), tmp_path, hear)
    run = tmp_path / "run"
    begun = len(list(read_events(run / JOURNAL)))
    large = experiment_of(ASHA, trials=5, epochs=6)
    go_on(run, large)
    expected = losses(run)
    lines = (run / JOURNAL).read_bytes().splitlines(keepends=True)
    extended = next(
        n for n, line in enumerate(lines) if n >= begun and b'{"event":"experiment"' in line
    )
    for count in range(extended + 1, len(lines)):
        (run / JOURNAL).write_bytes(b"".join(lines[:count]))
        (run / "status.json").unlink()
        go_on(run)
        assert losses(run) == expected, count
        told = [each["what"] for each in read_events(run / JOURNAL) if each["event"] == "anomaly"]
        assert not [what for what in told if what.startswith("replay")]


def test_stopped_trials_stay_stopped_and_rungs_keep_their_scores(tmp_path: Path) -> None:
    launch(experiment_of(ASHA, trials=6, epochs=4), tmp_path, hear)
    run = tmp_path / "run"
    before = read_results(run).trials.set_index("trial_id")
    stopped = before.index[before["status"] == "stopped_early"]
    assert 0 < len(stopped) < 6
    go_on(run, experiment_of(ASHA, trials=8, epochs=16))
    after = read_results(run).trials.set_index("trial_id")
    assert after.loc[stopped, "reports"].tolist() == before.loc[stopped, "reports"].tolist()
    assert after.loc[stopped, "status"].tolist() == ["stopped_early"] * len(stopped)
    lineage = read_results(run).lineage
    first = lineage[~lineage["trial_id"].isin(before.index) & (lineage["rung"] == 1)]
    assert len(first) == 2
    assert first["cutoff"].notna().all()  # they are compared with those that came before


def test_the_median_is_that_of_all_trials_of_a_run_that_grows(tmp_path: Path) -> None:
    rule = {"kind": "median", "min_trials": 2}
    launch(experiment_of(rule, trials=6, epochs=4), tmp_path / "small", hear)
    run = tmp_path / "small" / "run"
    small = ends(run)
    go_on(run, experiment_of(rule, trials=12, epochs=8))
    grown = ends(run)
    for trial, (status, epochs) in small.items():
        if status == "stopped_early":
            assert grown[trial] == (status, epochs)
    launch(experiment_of(rule, trials=12, epochs=4), tmp_path / "large", hear)
    assert {small[trial] for trial in small} > {("completed", 4)}
    large = ends(tmp_path / "large" / "run")
    assert {trial: large[trial] for trial in small} == small
    new = grown.keys() - small.keys()
    assert {trial for trial in new if grown[trial][1] < 4} == {
        trial for trial in new if large[trial][1] < 4
    }


def test_controls_stay_controls_in_a_run_that_grows_and_is_cut_off(tmp_path: Path) -> None:
    asha = ASHA | {"control_fraction": 0.4}
    launch(experiment_of(asha, trials=6, epochs=4), tmp_path, hear)
    run = tmp_path / "run"
    small = ends(run)
    go_on(run, experiment_of(asha, trials=12, epochs=8))
    lines = (run / JOURNAL).read_bytes().splitlines(keepends=True)
    grown = ends(run)
    spared = {
        trial
        for trial, cutoff, score in decided(run)
        if is_control(0, trial, 0.4) and score > cutoff
    }
    assert len(spared & small.keys()) > 0
    assert len(spared - small.keys()) > 0
    assert {grown[trial] for trial in spared} == {("completed", 8)}
    for trial, (status, epochs) in small.items():
        assert grown[trial] == (status, 8 if status == "completed" else epochs)
    (run / JOURNAL).write_bytes(b"".join(lines[:-20]))
    (run / "status.json").unlink()
    go_on(run)
    assert ends(run) == grown
    told = [each["what"] for each in read_events(run / JOURNAL) if each["event"] == "anomaly"]
    assert not [what for what in told if what.startswith("replay")]


def ends(path: Path) -> dict[str, tuple[str, int]]:
    """How each trial ended, and after how many epochs."""
    trials = read_results(path).trials
    columns = (trials[name].tolist() for name in ("trial_id", "status", "epoch"))
    return {trial: (status, int(epoch)) for trial, status, epoch in zip(*columns, strict=True)}


def decided(path: Path) -> list[tuple[str, float, float]]:
    """Every decision at a rung that had a cutoff: the trial, the cutoff and its score there."""
    results = read_results(path)
    scores = results.reports.set_index(["trial_id", "report"])["val_loss"]
    rows = results.lineage[results.lineage["cutoff"].notna()]
    return [
        (row["trial_id"], row["cutoff"], scores[row["trial_id"], row["report"]])
        for row in rows.to_dict("records")
    ]


def test_a_column_that_only_new_trials_have_is_there(tmp_path: Path) -> None:
    options = [{"kind": "adamw"}, {"kind": "sgd", "lr": 0.1, "momentum": 0.9}]
    space = {"optimizer": {"kind": "choice", "options": options}}
    experiments = [
        experiment_of(FIFO, trials=trials, epochs=1, search_space=space, seed=4)
        for trials in (1, 8)
    ]
    kinds = [one.values["optimizer.kind"] for one in experiments[1].plan()]
    assert len(set(kinds)) == 2
    with RunDirectory.claim(tmp_path, "run") as claimed:
        prepare(experiments[0], experiments[0].plan(), claimed, hear)
    with RunDirectory.reopen(tmp_path / "run") as reopened:
        extend(recorder_of(reopened, hear), experiments[1])
        reopened.publish()
    again = recorded_experiment(tmp_path / "run" / JOURNAL)
    assert again is not None
    assert again["columns"]["optimizer.momentum"] == "float64"


@pytest.mark.parametrize(
    ("small", "large", "reason"),
    [
        ({}, {"trials": 2}, "trials: must be at least the 3 that were planned, but got 2"),
        ({}, {"epochs": 1}, "trial.epochs: must be at least the 2"),
        ({"scheduler": {"kind": "pbt"}}, {"trials": 4}, "must stay as they are under pbt"),
        (
            {"scheduler": {"kind": "hyperband"}},
            {"trials": 4},
            "under hyperband, where its brackets",
        ),
        ({"scheduler": {"kind": "pb2"}}, {"trials": 4}, "under pb2, where they are the population"),
        ({"scheduler": {"kind": "hyperband"}}, {"epochs": 3}, "must stay as they are under hyp"),
        ({"scheduler": ASHA | {"brackets": 2}, "epochs": 4}, {"epochs": 8}, "several brackets"),
        ({"schedule": {"kind": "cosine"}}, {"epochs": 4}, "trial 00000, cosine, ends with them"),
        (
            {"schedule": {"kind": "warmup", "then": {"kind": "cosine"}}},
            {"epochs": 4},
            "trial 00000, warmup, ends with them",
        ),
    ],
)
def test_what_would_change_the_trials_so_far_is_refused(
    small: dict[str, Any], large: dict[str, Any], reason: str
) -> None:
    def experiment(trials: int = 3, epochs: int = 2, **more: Any) -> Experiment:
        asked = experiment_of(more.pop("scheduler", FIFO), trials=trials, epochs=epochs)
        plain = asked.resolved()
        plain["trial"] |= more
        return Experiment.model_validate_json(json.dumps(plain))

    with pytest.raises(ConfigError) as caught:
        is_extension(experiment(**small), experiment(**(small | large)))
    assert reason in str(caught.value)


@pytest.mark.parametrize("searcher", ["random", "sobol"])
def test_the_first_trials_are_drawn_as_they_were(searcher: str) -> None:
    small, large = (
        experiment_of(FIFO, trials=trials, epochs=2, searcher={"kind": searcher})
        for trials in (3, 50)
    )
    assert is_extension(small, large)
    assert not is_extension(small, small)
