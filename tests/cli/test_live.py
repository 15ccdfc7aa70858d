import io
import math
from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from raytune_pipe.cli.live import LiveState, display, duration, line, table
from raytune_pipe.results.events import Event


def experiment(at: str = "last", epochs: int = 10) -> Event:
    event: dict[str, Any] = {
        "event": "experiment",
        "experiment": {"name": "small", "trial": {"epochs": epochs}},
        "objective": {"metric": "val_accuracy", "mode": "max", "at": at},
        "time": 90.0,
    }
    return cast(Event, event)


def plan(trial_id: str, epochs: int = 10) -> Event:
    return {"event": "plan", "trial_id": trial_id, "leaves": {"epochs": epochs}, "values": {}}


def start(trial_id: str, time: float) -> Event:
    return {"event": "start", "trial_id": trial_id, "attempt": 0, "start_from": None, "time": time}


def report(trial_id: str, number: int, accuracy: float, time: float, lr: float = 0.1) -> Event:
    event: dict[str, Any] = {
        "event": "report",
        "trial_id": trial_id,
        "report": number,
        "epoch": float(number),
        "score": -accuracy,
        "metrics": {"val_accuracy": accuracy},
        "values": {"optimizer.lr": lr, "optimizer.momentum": None},
        "time": time,
    }
    return cast(Event, event)


def end(trial_id: str, status: Any, time: float, reason: str = "budget") -> Event:
    return {
        "event": "end",
        "trial_id": trial_id,
        "status": status,
        "reason": reason,
        "error": None,
        "time": time,
    }


COPY: Event = {
    "event": "decision",
    "trial_id": "00001",
    "report": 2,
    "decisions": [
        {
            "trial": "00001",
            "action": "exploit",
            "diverged": False,
            "rung": 2.0,
            "bracket": None,
            "cutoff": None,
            "donor": "00000",
            "donor_report": 2,
            "checkpoint": None,
            "values": {"optimizer.lr": 0.25},
            "changes": [["optimizer.lr", "perturb", 0.5, 0.25]],
        }
    ],
}
RUN = [
    experiment(),
    plan("00000"),
    plan("00001"),
    plan("00002"),
    start("00000", 100.0),
    start("00001", 101.0),
    report("00000", 1, 0.9, 102.0, lr=0.3),
    report("00001", 1, 0.8, 104.0),
    report("00000", 2, 0.7, 106.0),
    COPY,
    end("00001", "failed", 108.0, "RuntimeError: no"),
]


def state_after(events: Iterable[Event]) -> LiveState:
    state = LiveState()
    for event in events:
        state.apply(event)
    return state


def drawn(state: LiveState) -> str:
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table(state))
    return console.export_text()


def test_counts_trials_by_status() -> None:
    assert state_after(RUN).counts == {"running": 1, "failed": 1, "waiting": 1}
    assert state_after(RUN[:4]).counts == {"waiting": 3}


def test_best_is_the_best_current_score_or_the_best_ever() -> None:
    last, ever = state_after(RUN).best, state_after([experiment("best"), *RUN[1:]]).best
    assert last
    assert (last.trial_id, last.value) == ("00000", 0.7)  # 00001 failed with its 0.8
    assert ever
    assert (ever.trial_id, ever.value, ever.values["optimizer.lr"]) == ("00000", 0.9, 0.3)


def test_a_diverged_score_is_never_the_best() -> None:
    assert state_after([*RUN[:5], report("00000", 1, math.nan, 102.0)]).best is None
    once = state_after([*RUN[:7], report("00001", 1, math.nan, 103.0)]).best
    assert once
    assert once.trial_id == "00000"


def test_time_left_follows_the_pace_since_the_first_report() -> None:
    # 2 epochs in the 4 s since the first report; of 30 planned 3 are done and 9 have died.
    state = state_after(RUN[:9])
    assert state.seconds_left == 2.0 * (30 - 3)
    assert state_after(RUN).seconds_left == (108.0 - 102.0) / 2 * (30 - 3 - 9)
    assert state_after(RUN[:7]).seconds_left is None


def test_table_shows_where_the_run_stands() -> None:
    text = drawn(state_after(RUN))
    assert "3: 1 running, 1 failed, 1 waiting" in text
    assert "3 of 30, 8 s so far, at most 54 s left" in text
    assert "val_accuracy 0.7 (00000, epoch 2)" in text
    assert "optimizer.lr 0.1" in text
    assert "momentum" not in text  # it does not apply


def test_table_before_the_first_trial() -> None:
    assert "starting Ray" in drawn(state_after(RUN[:4]))
    assert drawn(state_after([])).strip() == ""


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


def warning(trial_id: str) -> Event:
    return {
        "event": "warning",
        "trial_id": trial_id,
        "kind": "loss_terms_apart",
        "what": "a and b are apart",
        "time": 103.0,
    }


def test_a_warning_of_a_trial_has_a_line_and_a_row() -> None:
    state = state_after([*RUN, warning("00000"), warning("00001")])
    assert str(line(warning("00001"), state)).endswith("warning: 00001: a and b are apart")
    assert "loss_terms_apart (2 of 2 trials: 00000, 00001)" in drawn(state)


def test_a_terminal_gets_one_line_for_each_kind_of_warning() -> None:
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=80)
    with display(console) as shown:
        for event in (*RUN, warning("00000"), warning("00001")):
            shown.hear(event)
    text = console.export_text()
    assert "warning: 00000: a and b are apart" in text
    assert "warning: 00001" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_display_shows_a_whole_run(terminal: bool) -> None:
    console = Console(file=io.StringIO(), record=True, force_terminal=terminal, width=80)
    with display(console) as shown:
        for event in RUN:
            shown.hear(event)
    text = console.export_text()
    assert "00001 failed (RuntimeError: no)" in text
    assert ("00000 started" in text) is not terminal
    assert ("3 of 30" in text) is terminal


RESUMED: list[Event] = [
    *RUN,
    {"event": "finish", "state": "interrupted", "exit_code": 130, "error": "SIGINT", "time": 109.0},
    {"event": "resume", "package_version": "0.1.0", "time": 1000.0},
]


def test_a_run_that_is_gone_on_with_counts_its_time_anew_and_no_epoch_twice() -> None:
    again = [report("00000", 2, 0.7, 1001.0), report("00000", 3, 0.7, 1002.0)]
    state = state_after([*RESUMED, *again, report("00000", 4, 0.7, 1004.0)])
    assert (state.counts, state.trained.total()) == (state_after(RUN).counts, 5)
    assert state.seconds_left == (1004.0 - 1001.0) / 1 * (30 - 5 - 9)
    assert "5 of 30, 4 s so far" in drawn(state)
    assert (
        line(RESUMED[-1], state_after(RESUMED))
        == "     0.0 s  small is gone on with after 3 epochs"
    )


def test_display_shows_what_recorded_events_have_come_to_and_not_the_events() -> None:
    console = Console(file=io.StringIO(), record=True, width=80)
    with display(console) as shown:
        for event in RESUMED:
            shown.recall(event)
        shown.hear(report("00000", 3, 0.95, 1001.0))
        shown.hear(end("00000", "completed", 1002.0))
    text = console.export_text().rstrip()
    assert text == "     2.0 s  00000 completed (budget); val_accuracy 0.95, epoch 3"


@given(st.permutations(RUN[4:]))
def test_events_in_any_order_give_counts_that_add_up(events: list[Event]) -> None:
    state = state_after([*RUN[:4], *events])
    assert sum(state.counts.values()) == 3
    assert state.trained.total() == 3
    assert drawn(state)


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


def test_an_extended_run_plans_more_epochs() -> None:
    assert state_after([*RUN, experiment(epochs=20)]).planned == {
        "00000": 20,
        "00001": 20,
        "00002": 20,
    }
