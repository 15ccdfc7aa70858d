import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from raytune_pipe.cli.live import display, table
from raytune_pipe.cli.live_state import LiveState
from raytune_pipe.cli.live_words import line
from raytune_pipe.results.events import Event
from tests.cli.live_events import RESUMED, RUN, end, report, state_after, warning


def drawn(state: LiveState) -> str:
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table(state))
    return console.export_text()


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
