import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from raytune_pipe.base import ConfigError, ResultsError
from raytune_pipe.importing.optuna_storage import load_study


def test_what_is_no_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_study(str(tmp_path / "none.db"), None)
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\x00 and nothing")
    with pytest.raises(ResultsError, match="must be a storage of Optuna"):
        load_study(str(tmp_path / "bad.db"), None)


def test_a_url_of_no_file_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_study(f"sqlite:///{tmp_path}/none.db", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["", "sqlite:///", "sqlite+pysqlite:///"])
def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path, before: str) -> None:
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE theirs (x)")
    held = file.read_bytes()
    with pytest.raises(ResultsError, match="no such table: studies"):
        load_study(f"{before}{file}", None)
    assert file.read_bytes() == held
    assert list(tmp_path.iterdir()) == [file]


def test_no_password_is_shown() -> None:
    with pytest.raises(ResultsError) as raised:
        load_study("nosuch://me:secret@host/db", None)
    assert str(raised.value).startswith("nosuch://***@host/db: must be a storage of Optuna")
    assert "secret" not in str(raised.value)
