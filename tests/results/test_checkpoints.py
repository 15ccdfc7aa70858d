import math

from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.results.checkpoints import CheckpointFold, StoredCheckpoint, unneeded
from raytune_pipe.results.events import Event

trial_ids = st.sampled_from(["a", "b", "c"])
scores = st.sampled_from([math.nan, 0.0, 1.0, 2.0])


@given(reports=st.lists(st.tuples(trial_ids, scores)), data=st.data())
def test_the_latest_the_best_and_those_in_use_stay_and_no_others(
    reports: list[tuple[str, float]], data: st.DataObject
) -> None:
    stored = [
        StoredCheckpoint(trial_id, score, f"{number}.pt")
        for number, (trial_id, score) in enumerate(reports)
    ]
    paths = [checkpoint.path for checkpoint in stored]
    in_use = data.draw(st.sets(st.sampled_from(paths)) if paths else st.just(set[str]()))
    kept = set(paths) - set(unneeded(stored, in_use))
    needed = set(in_use)
    for trial_id in {checkpoint.trial_id for checkpoint in stored}:
        of_trial = [checkpoint for checkpoint in stored if checkpoint.trial_id == trial_id]
        needed.add(of_trial[-1].path)
        finite = [checkpoint for checkpoint in of_trial if not math.isnan(checkpoint.score)]
        if finite:
            needed.add(min(finite, key=lambda checkpoint: checkpoint.score).path)
    assert kept == needed


def test_a_donors_checkpoint_stays_until_the_copy_has_its_own(small_run: list[Event]) -> None:
    donors = "checkpoints/00001/1.pt"
    fold = CheckpointFold()
    deletable = []
    for event in small_run[:-3]:  # up to where the donor itself starts again from it
        fold.add(event)
        deletable.append(donors in fold.unneeded())
    own = next(
        number
        for number, event in enumerate(small_run)
        if event["event"] == "report" and event["trial_id"] == "00000" and event["report"] == 2
    )
    assert not any(deletable[: own + 1])
    assert deletable[own + 1], "the donor has a better one, the copy has its own"


def test_an_interrupted_trial_still_needs_what_it_starts_from(small_run: list[Event]) -> None:
    exploit = 1 + next(i for i, event in enumerate(small_run) if event["event"] == "decision")
    interrupted: Event = {
        "event": "end",
        "trial_id": "00000",
        "status": "interrupted",
        "reason": "SIGINT",
        "error": None,
        "time": 1.0,
    }
    later = [
        event
        for event in small_run[exploit:]
        if event["event"] == "report" and event["trial_id"] == "00001" and event["attempt"] == 0
    ]
    fold = CheckpointFold()
    for event in [*small_run[:exploit], interrupted, *later]:
        fold.add(event)
    assert fold.unneeded() == []


def test_a_deleted_file_is_not_named_again(small_run: list[Event]) -> None:
    fold = CheckpointFold()
    for event in small_run:
        fold.add(event)
    first = fold.unneeded()
    assert first
    for path in first:
        fold.forget(path)
    assert fold.unneeded() == []
