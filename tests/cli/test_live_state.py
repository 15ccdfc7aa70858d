import math

from tests.cli.live_events import RUN, experiment, report, state_after


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


def test_an_extended_run_plans_more_epochs() -> None:
    assert state_after([*RUN, experiment(epochs=20)]).planned == {
        "00000": 20,
        "00001": 20,
        "00002": 20,
    }
