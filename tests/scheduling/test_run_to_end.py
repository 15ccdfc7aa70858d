import math

from raytune_pipe.scheduling.decisions import Decision, Report
from raytune_pipe.scheduling.run_to_end import RunToEnd


def test_healthy_trial_goes_on_and_diverged_one_is_stopped() -> None:
    maker = RunToEnd()
    assert maker.on_report(Report("a", 1, 1.0, 0.5, {})) == [Decision("a", "go_on")]
    assert maker.on_report(Report("a", 2, 2.0, math.nan, {})) == [
        Decision("a", "stop", diverged=True)
    ]
    assert maker.on_end("a") == []
