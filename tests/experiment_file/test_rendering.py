"""Rendering: order, long lines and tabs, command-line sources without line numbers."""

from raytune_pipe.experiment_file.rendering import to_config_error
from raytune_pipe.experiment_file.tree import Place, Source

FILE = Source("x.yaml", "a: 1\n\tb: 2\n" + "c" * 300 + "\n")


def test_errors_stand_in_the_order_of_the_file_and_overrides_come_last() -> None:
    override = Source("--set #1", "a=x", is_file=False)
    error = to_config_error(
        [
            (Place(override, 0, 2), "a", "last"),
            (Place(FILE, 1, 1), "b", "second"),
            (Place(FILE, 0, 3), "a", "first"),
        ]
    )
    assert str(error).splitlines() == [
        "x.yaml:1:4: a: first",
        "  a: 1",
        "     ^",
        "x.yaml:2:2: b: second",
        "   b: 2",
        "   ^",
        "--set #1: a: last",
        "  a=x",
        "    ^",
    ]


def test_a_long_line_is_cut_around_its_caret() -> None:
    _, line, caret = str(to_config_error([(Place(FILE, 2, 200), "c", "long")])).splitlines()
    assert len(line) == 102
    assert caret.index("^") < len(line)


def test_a_place_behind_the_end_has_no_line() -> None:
    assert str(to_config_error([(Place(FILE, 9, 0), "", "short")])) == "x.yaml:10:1: short"
