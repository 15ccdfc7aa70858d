import math
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from raytune_pipe.results.checkpoints import CheckpointFold
from raytune_pipe.results.events import Event, ReportEvent

TRIALS = ("a", "b", "c")
trial_ids = st.sampled_from(TRIALS)
scores = st.sampled_from([math.nan, 0.0, 1.0, 2.0])
steps = st.one_of(
    st.tuples(st.just("report"), trial_ids, scores),
    st.tuples(st.just("exploit"), trial_ids, trial_ids),
    st.tuples(st.just("start"), trial_ids, st.integers(0, 3)),
    st.tuples(st.just("end"), trial_ids, st.sampled_from(["completed", "interrupted"])),
)


def experiment_that_keeps(count: int) -> Event:
    return cast(Event, {"event": "experiment", "experiment": {"keep_checkpoints": count}})


class Model:
    """What is on disk and who needs it, told in the plainest way."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.reported: dict[str, list[tuple[str, float]]] = {trial: [] for trial in TRIALS}
        self.on_disk: list[str] = []
        self.in_use: dict[str, str] = {}
        self.ended: set[str] = set()

    def event(self, kind: str, trial: str, detail: Any) -> Any:
        """The event of a step, noted here too; None where it cannot come about."""
        if trial in self.ended:
            return None
        if kind == "report":
            path = f"checkpoints/{trial}/{len(self.reported[trial]) + 1}.pt"
            self.reported[trial].append((path, detail))
            self.on_disk.append(path)
            self.in_use.pop(trial, None)
            return {"event": kind, "trial_id": trial, "score": detail, "checkpoint": {"path": path}}
        if kind == "end":
            if detail != "interrupted":
                self.ended.add(trial)
                self.in_use.pop(trial, None)
            return {"event": kind, "trial_id": trial, "status": detail}
        donor, back = (detail, 0) if kind == "exploit" else (trial, detail)
        files = [path for path, _ in self.reported[donor] if path in self.on_disk]
        if not files:
            return None
        path = files[max(0, len(files) - 1 - back)]
        self.in_use[trial] = path
        if kind == "start":
            return {"event": kind, "trial_id": trial, "start_from": path}
        decision = {"trial": trial, "checkpoint": {"path": path}}
        return {"event": "decision", "trial_id": trial, "decisions": [decision]}

    def best_and_latest(self, trial: str) -> set[str]:
        files = self.reported[trial]
        finite = [each for each in files if not math.isnan(each[1])]
        best = {min(finite, key=lambda each: each[1])[0]} if finite else set()
        return best | {path for path, _ in files[-1:]}

    def of(self, trial: str) -> set[str]:
        return {path for path, _ in self.reported[trial]} & {*self.on_disk}


@given(st.lists(steps, max_size=60), st.integers(2, 5), st.data())
def test_no_sequence_of_events_loses_what_is_needed_or_keeps_more(
    sequence: list[tuple[str, str, Any]], count: int, data: st.DataObject
) -> None:
    model, fold = Model(count), CheckpointFold()
    fold.add(experiment_that_keeps(count))
    for step in sequence:
        event = model.event(*step)
        if event is None:
            continue
        fold.add(event)
        candidates = st.sets(st.sampled_from(model.on_disk)) if model.on_disk else st.just(set())
        donors: set[str] = data.draw(candidates)
        for path in fold.unneeded(keep=donors):
            model.on_disk.remove(path)  # fails where it was deleted before
            fold.forget(path)
        held = {*model.in_use.values(), *donors}
        assert held <= {*model.on_disk}
        for trial in TRIALS:
            assert model.best_and_latest(trial) <= {*model.on_disk}
            own = model.of(trial)
            if trial in model.ended:
                assert own <= model.best_and_latest(trial) | held
            else:
                assert len(own - held) <= count


def test_a_trial_that_goes_on_keeps_the_newest_as_well() -> None:
    fold = CheckpointFold()
    fold.add(experiment_that_keeps(4))
    for number, score in enumerate([3.0, 1.0, 2.0, math.nan, 4.0, 5.0], start=1):
        fold.add(report("a", number, score))
    assert fold.unneeded() == ["checkpoints/a/1.pt", "checkpoints/a/3.pt"]
    ended: Any = {"event": "end", "trial_id": "a", "status": "completed"}
    fold.add(ended)
    assert fold.unneeded() == [f"checkpoints/a/{number}.pt" for number in (1, 3, 4, 5)]


def test_a_run_of_before_there_was_a_count_keeps_the_best_and_the_latest() -> None:
    fold = CheckpointFold()
    for number, score in enumerate([1.0, 2.0, 0.5], start=1):
        fold.add(report("a", number, score))
    assert fold.unneeded() == ["checkpoints/a/1.pt", "checkpoints/a/2.pt"]


def test_a_file_that_is_reported_again_counts_with_its_new_score() -> None:
    fold = CheckpointFold()
    for number, score in [(1, 1.0), (2, 2.0), (1, 3.0), (3, 4.0)]:
        fold.add(report("a", number, score))
    assert fold.unneeded() == ["checkpoints/a/1.pt"]


def report(trial_id: str, number: int, score: float) -> ReportEvent:
    path = f"checkpoints/{trial_id}/{number}.pt"
    event = {"event": "report", "trial_id": trial_id, "report": number, "score": score}
    return cast(ReportEvent, event | {"checkpoint": {"path": path}})


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
