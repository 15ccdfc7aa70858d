from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from raytune_pipe.base import ConfigError
from raytune_pipe.components.imported import Target, load_target

TARGET: TypeAdapter[str] = TypeAdapter(Target)


@pytest.mark.parametrize("target", ["nets:Wide", "my_pkg.nets:Wide", "a.b.c2:_x"])
def test_a_target_is_a_module_and_a_name(target: str) -> None:
    assert TARGET.validate_python(target) == target


@pytest.mark.parametrize(
    "target",
    ["nets", "nets:", ":Wide", "my-pkg:Wide", "a..b:C", "a:B.C", "a:B()", "a:B\n", "../a:B"],
)
def test_anything_else_is_refused(target: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        TARGET.validate_python(target)


def test_the_named_object_is_loaded() -> None:
    assert load_target("pathlib:Path") is Path


def test_a_missing_module_or_name_is_told() -> None:
    with pytest.raises(ConfigError, match=r"can be imported, but got no_such_pkg\.nets:Wide"):
        load_target("no_such_pkg.nets:Wide")
    with pytest.raises(ConfigError, match="but pathlib has no Wide"):
        load_target("pathlib:Wide")


def test_a_module_that_itself_lacks_a_module_shows_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load_target("needs_more:Wide")
