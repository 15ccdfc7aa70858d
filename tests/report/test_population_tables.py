"""What only populations tell, as it is read."""

import io

from rich.console import Console, RenderableType

from raytune_pipe.analysis.clones import CloneEffects
from raytune_pipe.analysis.estimates import Estimate
from raytune_pipe.analysis.phases import Phase
from raytune_pipe.report.population_tables import clones_table, phases_table

NAMES = ("optimizer.lr", "regularizers.clip_norm.max_norm")
TOTAL = {NAMES[1]: Estimate(0.1, 0.0, 0.2), NAMES[0]: Estimate(0.9, 0.8, 1.0)}
R2 = Estimate(0.6, 0.5, 0.7)
FALLS, RISES = Estimate(-0.2, -0.3, -0.1), Estimate(0.2, 0.1, 0.3)
UNSURE = Estimate(-0.2, -0.5, 0.1)


def shown(table: RenderableType) -> str:
    """Words as a pipe of 80 columns gets them, lines kept."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return text


def phase(name: str, first: int, slope: dict[str, Estimate]) -> Phase:
    return Phase(name, (first, first + 4), 60, None, R2, TOTAL, slope)


def test_phases_show_shares_and_which_way_is_surely_better() -> None:
    early = phase("early", 1, {NAMES[0]: FALLS, NAMES[1]: UNSURE})
    late = phase("late", 11, {NAMES[0]: RISES, NAMES[1]: UNSURE})
    text = shown(phases_table([early, late], NAMES))
    words = " ".join(text.split())
    assert "early (1-5)" in words
    assert "late (11-15)" in words
    assert words.count("higher is better") == words.count("lower is better") == 1
    assert words.index("higher is better") < words.index("lower is better")
    assert words.index("optimizer.lr") < words.index("0.10 (0.00 to 0.20)")


def test_what_has_no_order_has_no_direction() -> None:
    text = shown(phases_table([phase("early", 1, {})], NAMES))
    assert "0.90 (0.80 to 1.00)" in text
    assert "is better" not in text


def test_three_phases_fit_with_their_figures_whole() -> None:
    slope = {NAMES[0]: FALLS, NAMES[1]: RISES}
    each = [phase(name, 11, slope) for name in ("early", "middle", "late")]
    text = shown(phases_table(each, NAMES))
    assert text.count("0.90 (0.80 to 1.00)") == text.count("0.10 (0.00 to 0.20)") == 3
    assert text.count("higher is better") == text.count("lower is better") == 3


def test_a_refused_phase_has_no_figures_and_says_why() -> None:
    refused = Phase(
        "middle", (6, 10), 12, "at least 20 segments that differ are needed, but got 12"
    )
    text = shown(phases_table([phase("early", 1, {}), refused], NAMES))
    [row] = [line for line in text.splitlines() if line.startswith(" optimizer.lr")]
    assert row.split()[-1] == "-"
    assert "middle: cannot tell; at least 20 segments" in text


def test_clones_say_what_a_step_does_and_where_that_is_not_sure() -> None:
    effects = {NAMES[0]: Estimate(-0.0213, -0.03, -0.012), NAMES[1]: Estimate(0.01, -0.1, 0.1)}
    text = shown(clones_table(CloneEffects(42, None, 0.1, effects)))
    assert "a step up of 10% of the range adds an epoch (42 pairs)" in text
    assert "optimizer.lr: -0.0213 (-0.03 to -0.012)\n" in text
    assert "max_norm: 0.01 (-0.1 to 0.1), cannot tell from none" in text


def test_too_few_clones_say_so() -> None:
    text = shown(clones_table(CloneEffects(3, "at least 8 pairs are needed, but got 3", 0.1, {})))
    assert text == "cannot tell: at least 8 pairs are needed, but got 3\n"
