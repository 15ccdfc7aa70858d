"""What a worker does with an assignment, in this process and without Ray."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_pipe.scheduling.decisions import Checkpoint
from raytune_pipe.tuning.assignment import Answer, Assignment
from raytune_pipe.tuning.trainable import Work

TRIAL: dict[str, Any] = {
    "dataset": {"kind": "imported", "target": "poison:data"},
    "model": {"kind": "mlp", "widths": [8]},
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "epochs": 4,
}


@pytest.fixture
def assignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Assignment:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "user_code")
    return Assignment("00007", TRIAL, str(tmp_path), 0, milestones=(2,), checkpoint_seconds=60.0)


def started_from(assignment: Assignment, answer: Answer) -> Assignment:
    assert answer.checkpoint is not None
    start_from = Checkpoint(answer.checkpoint["path"], answer.checkpoint["sha256"])
    return replace(assignment, start_from=start_from, reports=answer.number)


def test_checkpoints_come_at_milestones_and_at_the_end(assignment: Assignment) -> None:
    work = Work(assignment)
    answers = [work.answer() for _ in range(4)]
    assert [answer.epoch for answer in answers] == [1, 2, 3, 4]
    assert [answer.checkpoint is not None for answer in answers] == [False, True, False, True]
    for answer in answers[1::2]:
        assert answer.checkpoint is not None
        path = Path(assignment.directory) / answer.checkpoint["path"]
        assert path.stat().st_size == answer.checkpoint["bytes"]


def test_a_checkpoint_also_comes_when_it_has_been_too_long(assignment: Assignment) -> None:
    assert Work(replace(assignment, checkpoint_seconds=0.0)).answer().checkpoint is not None


def test_another_attempt_writes_files_of_its_own(assignment: Assignment) -> None:
    work = Work(replace(assignment, attempt=1, checkpoint_seconds=0.0))
    checkpoint = work.answer().checkpoint
    assert checkpoint is not None
    assert checkpoint["path"] == "checkpoints/00007/1-1.pt"


def test_another_worker_goes_on_to_the_same_result(assignment: Assignment) -> None:
    whole = Work(assignment)
    at_two, at_four = [whole.answer() for _ in range(4)][1::2]
    rest = Work(started_from(assignment, at_two))
    rest.answer()
    again = rest.answer()
    assert again.number == 4
    assert again.metrics is not None
    assert at_four.metrics is not None
    assert again.metrics["val_loss"] == at_four.metrics["val_loss"]


def test_a_changed_checkpoint_is_refused(assignment: Assignment) -> None:
    work = Work(assignment)
    work.answer()
    work.answer()
    path = Path(assignment.directory) / "checkpoints/00007/2.pt"
    path.write_bytes(path.read_bytes() + b"x")
    failure = (
        Work(replace(assignment, start_from=Checkpoint("checkpoints/00007/2.pt", "0" * 64)))
        .answer()
        .failure
    )
    assert failure is not None
    assert failure.kind == "checkpoint_lost"
    assert "must have the SHA-256" in failure.reason


@pytest.mark.parametrize(
    ("model", "kind", "reason"),
    [
        ("Raises", "exception", "ValueError: cannot digest (2, 4)"),
        ("Exits", "exception", "the trial's code called sys.exit(3)"),
        ("Silent", "exception", "TrialError: "),
        ("RunsOutOfMemory", "out_of_memory", "MemoryError: "),
        ("Missing", "exception", "ConfigError: target must name something in its module"),
    ],
)
def test_a_failure_is_an_answer(assignment: Assignment, model: str, kind: str, reason: str) -> None:
    trial = TRIAL | {"model": {"kind": "imported", "target": f"poison:{model}"}}
    failure = Work(replace(assignment, trial=trial)).answer().failure
    assert failure is not None
    assert failure.kind == kind
    assert failure.reason.startswith(reason)
    assert failure.error.startswith("Traceback")


def test_a_diverged_epoch_leaves_no_checkpoint(assignment: Assignment) -> None:
    trial = TRIAL | {"model": {"kind": "imported", "target": "poison:TurnsNan"}, "epochs": 1}
    answer = Work(replace(assignment, trial=trial)).answer()
    assert answer.verdict == "not_a_number"
    assert answer.checkpoint is None
