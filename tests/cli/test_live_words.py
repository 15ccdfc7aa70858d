import pytest

from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.cli.live_words import duration, line
from raytune_pipe.results.events import Event
from tests.cli.live_events import RUN, state_after


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, None),
        (4, "     0.0 s  00000 started"),
        (6, None),
        (9, "     6.0 s  00001 copies 00000: optimizer.lr 0.5 -> 0.25"),
        (10, "     8.0 s  00001 failed (RuntimeError: no); val_accuracy 0.8, epoch 1"),
    ],
)
def test_lines_are_for_what_is_worth_one(index: int, expected: str | None) -> None:
    assert line(RUN[index], state_after(RUN[: index + 1])) == expected


def test_an_anomaly_is_a_warning() -> None:
    event: Event = {"event": "anomaly", "what": "optimizer.lr: must be", "time": 1.0}
    assert str(line(event, LiveState())).endswith("warning: optimizer.lr: must be")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_failure_after_which_a_trial_starts_again_is_told() -> None:
    retry: Event = {
        "event": "retry",
        "trial_id": "00001",
        "attempt": 0,
        "kind": "worker_died",
        "reason": "the worker process died",
        "error": None,
        "time": 107.0,
    }
    told = line(retry, state_after([*RUN[:10], retry]))
    assert told == "     7.0 s  00001 failed (the worker process died): starts again"
