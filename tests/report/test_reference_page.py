from pathlib import Path

from raytune_pipe.base import Component, members
from raytune_pipe.report.reference_page import FAMILIES, reference_page

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_page_in_docs_is_what_the_classes_say() -> None:
    assert PAGE.read_text() == reference_page(), "run: raytune-pipe reference > docs/reference.md"


def test_every_member_and_field_is_there() -> None:
    page = reference_page()
    for family in FAMILIES:
        section = page.split(f"## {family.title}\n")[1].split("\n## ")[0]
        for member in members(family.family):
            assert issubclass(member, Component)
            for name in member.model_fields:
                assert name == "kind" or f"- `{name}` (" in section


def test_a_field_says_what_it_takes() -> None:
    page = reference_page()
    assert "- `momentum` (number at least 0, below 1, default `0.9`, *mutable*): Share" in page
    assert "- `rates` (a mapping; each number above 0 or null, default null): From" in page
    assert '- `precision` (one of `float32`, `bfloat16`, default `"float32"`): Number' in page


def test_a_field_tells_its_advised_range_by_member() -> None:
    optimizers = reference_page().split("## Optimizers\n")[1].split("\n## ")[0]
    sgd, adamw, lion = (
        next(each for each in optimizers.split("### ") if each.startswith(f"`{kind}`"))
        for kind in ("sgd", "adamw", "lion")
    )
    assert (
        "Advised: `log_uniform 0.01 to 0.1` where `optimizer.momentum` is 0, else"
        " `log_uniform 0.001 to 0.01`.\n"
    ) in sgd
    assert "Advised: `log_uniform 0.001 to 0.01`.\n" in adamw
    assert "Advised: `log_uniform 1e-05 to 0.1`.\n" in lion
    assert "Samples per optimizer step. Advised: `choice of 16, 32, 64, 128`." in reference_page()
