"""Loading an experiment: read, override, validate; all that is wrong is told at once."""

import codecs
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from raytune_pipe.advice import advice_taken
from raytune_pipe.base import ConfigError, members
from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file import overrides as override
from raytune_pipe.experiment_file.rendering import to_config_error
from raytune_pipe.experiment_file.tree import Place, Source, TextError, Tree, parse
from raytune_pipe.problems import MOST_PROBLEMS, Path, Problem, problems_of, shown
from raytune_pipe.trial import Trial
from raytune_pipe.variants import to_plain

MAX_BYTES = 250_000
"""Of a file: ruamel.yaml takes 6 s for a tag of a million letters, its worst case."""


def load_experiment(
    path: str | PathLike[str],
    overrides: Sequence[str] = (),
    allow_imports: Sequence[str] = (),
    notes: list[str] | None = None,
) -> Experiment:
    """The experiment of a YAML file, validated as a whole.

    Args:
        path: the file.
        overrides: ``path=value`` each, later ones last; as ``--set`` on the command line.
        allow_imports: package prefixes that an imported component may come from.
        notes: takes what an override changed besides its own value, and why ranges are as advised.

    Raises:
        ConfigError: all that is wrong, each with its place, the line and a caret.
    """
    source = Source(str(path), _read(FilePath(path)))
    tree = _tree(source)
    for number, text in enumerate(overrides, start=1):
        try:
            note = override.apply(tree, number, text)
        except TextError as error:
            tree.problems.append(error)
        else:
            if note and notes is not None:
                notes.append(note)
    located = [(error.place, _dotted(error.path), error.message) for error in tree.problems]
    found = [*_problems(tree.value), *_forbidden_imports(tree.value, tuple(allow_imports))]
    for problem in found:
        place = tree.place(problem.path, problem.is_at_key) or Place(source, 0, 0)
        located.append((place, problem.dotted, problem.message))
    if located:
        raise to_config_error(located)
    experiment = Experiment.model_validate_json(json.dumps(tree.value))
    if notes is not None:
        entries, plain = tree.value.get("search_space", {}), to_plain(experiment.trial)
        notes.extend(advice_taken(entries, plain, experiment.search_space))
    return experiment


def located_error(
    path: str | PathLike[str], overrides: Sequence[str], at: Path, message: str
) -> ConfigError:
    """An error at a field of a file that is valid in itself, but not for what is to be done."""
    return located_errors(path, overrides, [(at, message)])


def located_errors(
    path: str | PathLike[str], overrides: Sequence[str], found: Iterable[tuple[Path, str]]
) -> ConfigError:
    """The same of several fields; one that the file leaves out is told at what is around it."""
    source = Source(str(path), _read(FilePath(path)))
    tree = _tree(source)
    for number, text in enumerate(overrides, start=1):
        override.apply(tree, number, text)
    located = []
    for at, message in found:
        place = tree.place(at) or Place(source, 0, 0)
        located.append((place, _dotted(at), message))
    return to_config_error(located)


def _read(path: FilePath) -> str:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(
                f"{path}: must be a regular file, but it is a pipe, a socket or a device; write "
                "the experiment to a file"
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: must be an experiment file, but there is no such file"
        ) from error
    except IsADirectoryError as error:
        raise ConfigError(
            f"{path}: must be an experiment file, but it is a folder; name the YAML file in it"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path}: must be readable, but got: {error.strerror}; check the path and who may read"
        ) from error
    if size > MAX_BYTES:
        raise ConfigError(
            f"{path}: must have at most {MAX_BYTES:,} bytes, but has {size:,}; name the YAML file "
            "of an experiment"
        )
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(f"{path}: must be UTF-8 text, but is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: must be UTF-8 text, but byte {error.start + 1} of the file is"
            f" {data[error.start]:#04x}; save it as UTF-8"
        ) from error


def _tree(source: Source) -> Tree:
    """The file's tree, a mapping; raises ConfigError where nothing more can be told."""
    try:
        tree = parse(source)
    except TextError as error:
        raise to_config_error([(error.place, _dotted(error.path), error.message)]) from error
    if not isinstance(tree.value, dict):
        got = "it is empty" if tree.value is None else f"got {shown(tree.value)}"
        place = tree.place(()) or Place(source, 0, 0)
        raise to_config_error(
            [(place, "", f"must be a mapping with name, trial and trials, but {got}")]
        )
    return tree


def _problems(plain: dict[str, Any]) -> list[Problem]:
    """All problems at once: what is broken is taken out, so that the rest can be judged too."""
    problems: list[Problem] = []
    broken: list[Path] = []
    while True:
        found = [each for each in _validate(plain) if not _is_moot(each, broken)]
        if not found:
            return problems
        problems += found
        if len(problems) >= MOST_PROBLEMS:
            return problems
        for problem in found:
            broken.append(problem.path)
            plain = _without(plain, problem.path)


def _validate(plain: dict[str, Any]) -> list[Problem]:
    try:
        Experiment.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        return problems_of(error, Experiment, plain)
    return []


def _is_moot(problem: Problem, broken: Sequence[Path]) -> bool:
    """Whether it rests on something that was taken out."""
    rests_on = (problem.path, *problem.depends_on)
    return any(path[: len(other)] == other[: len(path)] for path in rests_on for other in broken)


def _without(plain: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy without what is at the path, or with a stand-in for what must be there."""
    if path[0] == "search_space":
        path = path[:2]
    if path[-1] == "kind" and path not in (("kind",), ("trial", "kind")):
        path = path[:-1]
    stand_ins: dict[Path, Any] = {("name",): "stand-in", ("trials",): 8} | {
        ("trial", family): {"kind": members(field.annotation)[0].model_fields["kind"].default}
        for family, field in Trial.model_fields.items()
        if field.is_required()
    }
    return _replaced(plain, path, stand_ins.get(path))


def _replaced(plain: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy with the value at the path, or without the path where the value is None."""
    key, below = str(path[0]), path[1:]
    inner = plain.get(key)
    if below and isinstance(inner, dict):
        return {**plain, key: _replaced(inner, below, value)}
    rest = {name: each for name, each in plain.items() if name != key}
    return rest if value is None else {**rest, key: value}


def require_allowed_imports(plain: Any, allow_imports: Sequence[str]) -> None:
    """Check an experiment that comes from somewhere else than its file, such as a journal.

    Raises:
        ConfigError: it has an imported component that may not be imported.
    """
    found = [*_forbidden_imports(plain, tuple(allow_imports))]
    if found:
        raise ConfigError("\n".join(f"{each.dotted}: {each.message}" for each in found))


def _forbidden_imports(plain: Any, allowed: tuple[str, ...]) -> Iterator[Problem]:
    """The import targets, also those that are searched, that no allowed prefix covers."""
    for path, target in _targets(plain):
        module = target.split(":")[0]
        if not any(f"{module}.".startswith(f"{prefix}.") for prefix in allowed):
            package = module.split(".")[0]
            yield Problem(
                path,
                f"must come from an allowed package ({', '.join(allowed) or 'none is'}), but got"
                f" {shown(target)}; allow it by --allow-import {package}, or in pyproject.toml:"
                f' [tool.raytune-pipe] allow_imports = ["{package}"]',
            )


def _targets(plain: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text that names what to import, and where: in a component, or as an option of it."""
    if isinstance(plain, list):
        for index, item in enumerate(plain):
            yield from _targets(item, (*path, index))
    if not isinstance(plain, dict):
        return
    if plain.get("kind") == "imported" and isinstance(plain.get("target"), str):
        yield (*path, "target"), plain["target"]
    for key, value in plain.items():
        yield from _targets(value, (*path, key))
        if str(key).endswith(".target") and isinstance(value, dict):
            options = value.get("options")
            for index, option in enumerate(options if isinstance(options, list) else []):
                if isinstance(option, str):
                    yield (*path, key, "options", index), option


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
