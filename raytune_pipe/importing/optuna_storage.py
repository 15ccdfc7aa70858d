"""Open an Optuna study where it is stored, and leave the storage as it is.

Optuna, which is optional, reads its own storage. Nothing of it is a pickle.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_pipe.base import ConfigError, ResultsError

if TYPE_CHECKING:
    from optuna.study import Study


def load_study(storage: str, name: str | None) -> "Study":
    """A study of a storage: a URL, an SQLite file or Optuna's journal file.

    Raises:
        ConfigError: Optuna is not installed, there is no such file, or which study is meant is not
            clear.
        ResultsError: the storage cannot be read.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "importing a study needs Optuna, which is not installed; "
            'run: pip install "raytune-pipe[optuna]"'
        ) from error
    shown = _without_password(storage)
    try:
        opened = optuna.storages.get_storage(_storage(storage))
        names = optuna.get_all_study_names(opened)
    except ConfigError:
        raise
    except Exception as error:  # SQLAlchemy's, the driver's, or the journal's own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultsError(
            f"{shown}: must be a storage of Optuna, but got: {_without_password(reason)}"
        ) from error
    if name is None and len(names) == 1:
        [name] = names
    if name not in names:
        got = "none was named" if name is None else f"got {name!r}"
        raise ConfigError(
            f"--study: must name a study of {shown}, but {got}; there are "
            f"{', '.join(names) or 'none'}"
        )
    study: Study = optuna.load_study(study_name=name, storage=opened)
    return study


def _storage(storage: str) -> Any:
    """What Optuna opens: a URL, or a journal."""
    if storage.startswith("sqlite"):
        _, is_url, path = storage.partition(":///")
        if is_url and path and not path.startswith((":memory:", "file:")):
            _require_studies(_file(path.partition("?")[0]))
    if "://" in storage:
        return storage
    file = _file(storage)
    with file.open("rb") as opened:
        if opened.read(15) == b"SQLite format 3":
            _require_studies(file)
            return f"sqlite:///{file.absolute()}"
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(file)))


def _file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: must be a URL or a file of Optuna, but there is no such file")
    return file


def _require_studies(file: Path) -> None:
    """Raise sqlite3.Error unless the database has studies: Optuna would make its tables there."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.execute("SELECT study_id FROM studies LIMIT 1")


def _without_password(text: str) -> str:
    """A text with what stands before the host in URLs left out."""
    return re.sub(r"://[^@/\s]*@", "://***@", text)
