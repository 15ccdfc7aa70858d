import subprocess
import sys

import pytest

import raytune_pipe


@pytest.mark.parametrize("name", raytune_pipe.__all__)
def test_public_names_are_callable(name: str) -> None:
    assert callable(getattr(raytune_pipe, name))
    assert name in dir(raytune_pipe)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lunch'"):
        raytune_pipe.lunch  # noqa: B018  # looking it up is what raises


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import raytune_pipe, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "ray", "pandas", "pydantic", "click"} & set(loaded.split())
