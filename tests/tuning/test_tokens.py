import os
import subprocess
import sys
from pathlib import Path

import pytest

from raytune_pipe.base import ClusterError
from raytune_pipe.tuning.tokens import (
    has_token,
    own_token,
    read_token,
    require_private_token,
    token_file,
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def keep(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a-secret\n")
    path.chmod(mode)
    return path


def test_a_token_is_found_where_ray_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_token()
    default = keep(tmp_path / ".ray" / "auth_token", 0o600)
    assert (token_file(), read_token()) == (default, "a-secret")
    named = keep(tmp_path / "named", 0o600)
    named.write_text("another")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    assert (token_file(), read_token()) == (named, "another")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "given")
    assert (token_file(), read_token()) == (None, "given")
    assert has_token()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o602])
def test_a_token_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = keep(tmp_path / ".ray" / "auth_token", mode)
    with pytest.raises(ClusterError, match=rf"mode {mode:o}.*chmod 600 {path}") as caught:
        require_private_token()
    assert "a-secret" not in str(caught.value)
    path.chmod(0o600)
    require_private_token()
    path.chmod(0o400)
    require_private_token()


def test_an_embedded_ray_has_a_token_of_its_own(tmp_path: Path) -> None:
    own = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "of the user", "HOME": str(tmp_path)}
    # In a process of its own: Ray reads the token again, and this session's may be running here.
    code = "from tests.tuning.test_tokens import take_own_tokens; take_own_tokens()"
    words = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    subprocess.run(words, env=os.environ | own, cwd=Path(__file__).parents[2], check=True)
    assert not (tmp_path / ".ray").exists()


def take_own_tokens() -> None:
    """Take two tokens one after the other, in the folder that the command line names."""
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    seen = set()
    for name in ("first", "second"):
        folder = Path(sys.argv[1]) / name
        folder.mkdir()
        with own_token(folder):
            assert os.environ["RAY_AUTH_MODE"] == "token"
            path = token_file()
            assert path == folder / "auth_token"
            assert path.stat().st_mode & 0o777 == 0o600
            seen.add(read_token())
        after = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
        assert after == before
    assert len(seen) == 2
    assert min(map(len, seen)) == 64
