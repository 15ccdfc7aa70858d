import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from raytune_pipe.base import ConfigError
from raytune_pipe.cli.options import project_imports


def test_imports_that_the_project_allows(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    assert project_imports(pyproject) == []
    pyproject.write_text("[project]\nname = 'x'\n")
    assert project_imports(pyproject) == []
    pyproject.write_text('[tool.raytune-pipe]\nallow_imports = ["nets", "data.sets"]\n')
    assert project_imports(pyproject) == ["nets", "data.sets"]


@pytest.mark.parametrize("text", ["[tool", '[tool.raytune-pipe]\nallow_imports = "nets"\n'])
def test_invalid_project_settings_are_located(tmp_path: Path, text: str) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(text)
    with pytest.raises(ConfigError, match=r"pyproject\.toml: .*must be"):
        project_imports(pyproject)


def test_an_override_that_ends_a_search_is_said(command: Callable[..., Result], file: Path) -> None:
    result = command("validate", file, "--set", "optimizer.lr=0.5")
    assert result.stdout.startswith("ok: small, 24 trials, 1 searched (batch_size)\n")
    assert "note: optimizer.lr was searched" in result.stderr
    assert f"next: raytune-pipe plan {file} --set optimizer.lr=0.5" in result.stdout


NETS = """\
from torch import nn

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
IMPORTED = """\
name: mine
trial:
  dataset: {kind: digits}
  model: {kind: imported, target: "my_nets:linear"}
  loss: {kind: cross_entropy}
  optimizer: {kind: sgd, lr: 0.1}
  epochs: 1
trials: 1
"""


@pytest.mark.parametrize(
    ("words", "settings", "exit_code"),
    [
        ([], "", 2),
        (["--allow-import", "my_nets"], "", 0),
        ([], '[tool.raytune-pipe]\nallow_imports = ["my_nets"]\n', 0),
    ],
)
def test_what_is_allowed_is_imported_from_the_current_folder(
    command: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    settings: str,
    exit_code: int,
) -> None:
    (tmp_path / "my_nets.py").write_text(NETS)
    (tmp_path / "mine.yaml").write_text(IMPORTED)
    (tmp_path / "pyproject.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)
    result = command("train", "mine.yaml", *words)
    assert result.exit_code == exit_code, result.stderr
    if exit_code:
        assert "allow it by --allow-import my_nets" in result.stderr
    else:
        assert result.stdout.endswith(
            f"next: {' '.join(['raytune-pipe launch mine.yaml', *words])}\n"
        )
