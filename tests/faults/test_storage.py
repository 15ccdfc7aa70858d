"""A storage that fails under a run: told once, nothing damaged, gone on with once it is mended."""

import os
import re
from pathlib import Path

import pytest

from raytune_pipe.results.events import Event
from raytune_pipe.results.journal import JOURNAL, read_events
from raytune_pipe.results.run_directory import RunDirectory
from raytune_pipe.tuning.runner import prepare

from benchmarks.faulty_storage import Outcome, can_mount, compiled_eio, in_namespace
from benchmarks.simulated_run import Worker, experiment_of, run_to_end

needs_root_for_modes = pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(),
    reason="root obeys permissions only without a capability, which setpriv takes away",
)


def require_sound(outcomes: list[Outcome], cases: int) -> None:
    assert len(outcomes) == cases
    for one in outcomes:
        assert one.wrong == [], one.case
        assert (one.lost, one.duplicated) == (0, 0)
        assert one.acknowledged > 5


@pytest.mark.skipif(not can_mount(), reason="no disk can be mounted in a namespace here")
def test_a_full_disk_and_a_read_only_one_lose_nothing(tmp_path: Path) -> None:
    outcomes = in_namespace(tmp_path, ["1", "2", "13", "4", "EROFS"])
    require_sound(outcomes, 5)
    assert all("No space left on device" in one.message for one in outcomes[:4])
    assert "Read-only file system" in outcomes[4].message
    failed_at = {re.split(r"[/:]", one.message.partition("/run/")[2])[0] for one in outcomes}
    # Which files are cut short depends on how long a run takes, as tables are published by time.
    assert len(failed_at) >= 2


@needs_root_for_modes
def test_no_permission_and_a_folder_that_is_gone_lose_nothing(tmp_path: Path) -> None:
    cases = ["EACCES", "moved away", "deleted"]
    outcomes = in_namespace(tmp_path, cases, without_override=True)
    require_sound(outcomes, 3)
    assert "Permission denied" in outcomes[0].message
    assert all("put it back where it was" in one.message for one in outcomes[1:])


@needs_root_for_modes
def test_an_input_output_error_loses_nothing(tmp_path: Path) -> None:
    library = compiled_eio(tmp_path)
    if library is None:
        pytest.skip("no C compiler for the library that makes writes fail")
    cases = ["EIO", "EIO at a flush"]
    outcomes = in_namespace(tmp_path, cases, without_override=True, preload=library)
    require_sound(outcomes, 2)
    assert all("Input/output error" in one.message for one in outcomes)


@pytest.mark.parametrize("keep", [2, 3, 5])
def test_no_trial_ever_has_more_checkpoints_than_are_kept(keep: int, tmp_path: Path) -> None:
    pbt = {"kind": "pbt", "interval_epochs": 1, "quantile": 0.25}
    experiment = experiment_of(pbt, trials=5, epochs=9, keep_checkpoints=keep)
    in_use: dict[str, str] = {}
    most = 0

    def hear(event: Event) -> None:
        """What members start from, told by the events alone."""
        if event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["checkpoint"]:
                    in_use[decision["trial"]] = decision["checkpoint"]["path"]
        elif event["event"] == "report":
            in_use.pop(event["trial_id"], None)

    with RunDirectory.claim(tmp_path, "run") as run:
        recorder = prepare(experiment, experiment.plan(), run, hear)

        def look() -> None:
            nonlocal most
            donors = {each.checkpoint.path for each in recorder.maker.donors() if each.checkpoint}
            held = {*in_use.values(), *donors}
            assert all((run.path / path).is_file() for path in held)
            for trial_id, trial in recorder.trials.items():
                files = {
                    str(f.relative_to(run.path)) for f in run.checkpoints.glob(f"{trial_id}/*")
                }
                assert len(files - held) <= (2 if trial.has_ended else keep)
                most = max(most, len(files - held))

        run_to_end(recorder, Worker, look)
    assert most == keep
    named = {
        event["checkpoint"]["path"]
        for event in read_events(run.path / JOURNAL)
        if event["event"] == "report" and event["checkpoint"]
    }
    assert len(named) > 5 * keep  # there was something to delete
