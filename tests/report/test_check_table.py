from rich.console import Console

from raytune_pipe.report.check_table import check_table, range_chart
from raytune_pipe.training.trial_check_findings import Finding, RangeTest, TrialCheck

TEST = RangeTest((1e-3, 1e-2, 1e-1, 1.0), (2.0, 1.5, 0.5, 2.0), 1e-3, 1e-2, 1e-1)


def shown(check: TrialCheck) -> list[str]:
    console = Console(width=120, record=True)
    with console.capture() as captured:
        console.print(check_table(check))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_finding_says_what_to_suspect_and_the_mend() -> None:
    fault = Finding("gradients", "fail", "zero", "in all", "dead units", "biases of zero")
    assert shown(TrialCheck((Finding("fit", "ok", "fits"), fault), None)) == [
        "ok    fit        fits",
        "fail  gradients  zero",
        "                 expected: in all",
        "                 suspect: dead units",
        "                 mend: biases of zero",
        "1 ok, 0 warn, 1 fail",
    ]


def test_chart_is_lowest_where_the_loss_is_and_marks_the_range() -> None:
    *_, bottom, ticks, mark = range_chart(TEST).plain.splitlines()
    assert ticks.split() == ["1e-3", "1e-2", "1e-1", "1e0"]
    assert bottom.startswith("    0.5 ")
    assert bottom[ticks.index("1e-1")] == " "
    assert bottom[ticks.index("1e-3")] == "█"
    assert (mark.index("|"), mark.rindex("|")) == (ticks.index("1e-3"), ticks.index("1e-1"))


def test_chart_stands_below_the_findings() -> None:
    lines = shown(TrialCheck((Finding("fit", "ok", "fits"),), TEST))
    assert lines[2] == "loss while the learning rate rises"
    assert lines[-1] == "1 ok, 0 warn, 0 fail"
