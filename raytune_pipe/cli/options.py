"""Arguments and options that commands share."""

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raytune_pipe.cli.output import echo
from raytune_pipe.cli.run_folder import RunFolder

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment

Body = Callable[..., Any]

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one line of JSON."
)
"""``--json``, given to the command as ``as_json``."""

imports_option = click.option(
    "--allow-import",
    "allow_imports",
    multiple=True,
    metavar="PREFIX",
    help="Let `kind: imported` import modules of this name and beneath it (repeatable). Allowed as"
    " well: `allow_imports` of [tool.raytune-pipe] in ./pyproject.toml.",
)
"""``--allow-import``, given to the command as ``allow_imports``."""

run_argument = click.argument("run", metavar="DIR", type=RunFolder())
"""The folder of a run, such as results/NAME, or its URI, given to the command as ``run``."""


strict_option = click.option(
    "--strict", is_flag=True, help="Take warnings of FILE as errors; `ignore` in it silences one."
)
"""``--strict``, given to the command as ``strict``."""


def experiment_options(body: Body) -> Body:
    """FILE, ``--set`` and ``--allow-import``; gives the command the ``experiment``.

    And, as ``again``, the words that name the same experiment to another command.
    """

    @click.argument("file", type=click.Path(path_type=Path))
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a hyperparameter (optimizer.lr=0.1) or another field (trials=4) of FILE"
        " (repeatable).",
    )
    @imports_option
    @functools.wraps(body)
    def with_experiment(
        file: Path, overrides: tuple[str, ...], allow_imports: tuple[str, ...], **options: Any
    ) -> Any:
        experiment = open_experiment(file, overrides, allow_imports)
        again = [str(file)]
        again += [word for override in overrides for word in ("--set", override)]
        return body(experiment=experiment, again=[*again, *import_words(allow_imports)], **options)

    return with_experiment


def import_words(allow_imports: Iterable[str]) -> list[str]:
    """The words that allow another command the same imports."""
    return [word for prefix in allow_imports for word in ("--allow-import", prefix)]


def given(option: str, value: str | None) -> list[str]:
    """The words that give another command the same option; none where it was left out."""
    return [] if value is None else [option, value]


def open_experiment(
    file: Path, overrides: tuple[str, ...] = (), allow_imports: tuple[str, ...] = ()
) -> "Experiment":
    """The experiment of a file, with what the command line and ./pyproject.toml allow it to import.

    Raises:
        ConfigError: the file, an override or ./pyproject.toml is not valid.
    """
    from raytune_pipe.experiment_file import load_experiment

    notes: list[str] = []
    experiment = load_experiment(file, overrides, allowed_imports(allow_imports), notes)
    for note in notes:
        echo(f"note: {note}", err=True)
    return experiment


def allowed_imports(allow_imports: Iterable[str]) -> list[str]:
    """The prefixes that the command line and ./pyproject.toml allow to be imported.

    Raises:
        ConfigError: ./pyproject.toml is not valid.
    """
    return [*allow_imports, *project_imports(Path("pyproject.toml"))]


def search_here(allow_imports: Iterable[str]) -> None:
    """Have what is allowed searched in the current folder first, if anything is.

    For commands that train. All others import nothing of the user's, so that no module there may
    take the place of an installed one.

    Raises:
        ConfigError: ./pyproject.toml is not valid.
    """
    folder = str(Path.cwd())
    if allowed_imports(allow_imports) and folder not in sys.path:
        sys.path.insert(0, folder)


def project_imports(pyproject: Path) -> list[str]:
    """``allow_imports`` of ``[tool.raytune-pipe]``; empty where there is none.

    Raises:
        ConfigError: it is not TOML, or not a list of names.
    """
    import tomllib

    from raytune_pipe.base import ConfigError

    try:
        text = pyproject.read_text(encoding="utf-8") if pyproject.is_file() else ""
        settings = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{pyproject}: must be readable, but got: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{pyproject}: must be TOML, but {error}") from error
    for table in ("tool", "raytune-pipe"):
        settings = settings.get(table, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"{pyproject}: {table} must be a table, but got {settings!r}")
    names = settings.get("allow_imports", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{pyproject}: tool.raytune-pipe.allow_imports must be a list of module names, but got"
            f' {names!r}; write allow_imports = ["my_package"]'
        )
    return names
