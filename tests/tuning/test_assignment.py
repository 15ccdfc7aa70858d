"""Assignments and answers: their texts, and what of an answer is not as it must be."""

from raytune_pipe.scheduling.decisions import Checkpoint
from raytune_pipe.tuning.assignment import Answer, Assignment, Failure


def test_a_failure_of_megabytes_is_shortened() -> None:
    failure = Failure("exception", "a" * 10**6, "b" * 10**7).shortened()
    assert len(failure.reason) < 1_000
    assert len(failure.error) < 70_000
    assert "characters left out" in failure.error


def test_assignments_and_answers_survive_their_texts() -> None:
    assignment = Assignment(
        trial_id="00000",
        trial={"epochs": 4, "optimizer": {"kind": "sgd", "lr": 0.1}},
        directory="/results/run",
        reports=2,
        milestones=(1, 2, 4),
        checkpoint_seconds=60.0,
        start_from=Checkpoint("checkpoints/00000/2.pt", "0" * 64),
    )
    assert Assignment.from_text(assignment.to_text()) == assignment
    said = Answer(
        number=1,
        epoch=1.0,
        step=10,
        metrics={"val_loss": 0.5},
        values_in_force={"optimizer.lr": 0.1},
        checkpoint={"path": "checkpoints/00000/1.pt", "sha256": "0" * 64, "bytes": 1},
    )
    assert Answer.from_text(said.to_text()) == said
    failed = Answer(failure=Failure("exception", "why", "Traceback"))
    assert Answer.from_text(failed.to_text()) == failed


def test_only_what_applies_and_can_change_must_be_in_force() -> None:
    answer = Answer(values_in_force={"optimizer.lr": 0.1, "optimizer.momentum": 0.9})
    expected = {"optimizer.lr": 0.1, "optimizer.momentum": None, "model.width": 8}
    assert answer.mismatch(expected) is None
    assert answer.mismatch(expected | {"optimizer.lr": 0.2}) == (
        "optimizer.lr: must be 0.2 in the live trial, but got 0.1"
    )
