"""Overrides from the command line: ``--set path=value``, the value in YAML as in the file."""

from typing import Any

from raytune_pipe.experiment import Experiment
from raytune_pipe.experiment_file.tree import Place, Source, TextError, Tree, parse
from raytune_pipe.problems import Path, near, shown
from raytune_pipe.trial import Trial


def apply(tree: Tree, number: int, text: str) -> str | None:
    """Set one value in the tree; gives a note where that changes what is searched.

    A name of an experiment's field comes first (``seed=1`` is the experiment's), then one of the
    trial's (``epochs=2`` is ``trial.epochs``).

    Raises:
        TextError: the override is not ``path=value``, or leads nowhere.
    """
    source = Source(f"--set #{number}", text, is_file=False)
    start = Place(source, 0, 0)
    dotted, equals, _ = text.partition("=")
    if not equals or not all(key.strip() for key in dotted.split(".")):
        raise TextError(
            start, (), f"must be path=value, such as optimizer.lr=0.1, but got {shown(text)}"
        )
    path = _file_path(dotted.strip(), tree, start)
    value = _value(source, len(dotted) + 1, path)
    tree.problems.extend(value.problems)
    note = None
    if path[0] == "trial":
        path, note = _leave_search_space(tree, path, value)
    if path[0] == "search_space" and len(path) == 2 and value.value is None:
        tree.value["search_space"].pop(path[1], None)
        return f"{path[1]} has left the search space"
    tree.graft(path, value, start)
    return note


def _value(source: Source, begin: int, path: Path) -> Tree:
    """What stands behind the equals sign; its errors tell the path that it is meant for."""
    try:
        value = parse(source, begin)
    except TextError as error:
        raise TextError(error.place, (*path, *error.path), error.message) from error
    value.problems = [
        TextError(problem.place, (*path, *problem.path), problem.message)
        for problem in value.problems
    ]
    return value


def _file_path(dotted: str, tree: Tree, start: Place) -> Path:
    keys = dotted.split(".")
    if keys[0] == "search_space":
        return _search_space_path(keys[1:], tree)
    if keys[0] in Experiment.model_fields:
        return tuple(keys)
    if keys[0] in Trial.model_fields:
        return ("trial", *keys)
    known = [*Trial.model_fields, *Experiment.model_fields]
    raise TextError(
        start,
        tuple(keys),
        f"must begin with a field of the trial or of the experiment, but got '{keys[0]}'"
        f"{near(keys[0], known)}",
    )


def _search_space_path(keys: list[str], tree: Tree) -> Path:
    """An entry's name has dots itself: the longest name that is there, or a new one."""
    space = tree.value.get("search_space")
    for length in range(len(keys), 0, -1):
        name = ".".join(keys[:length])
        if isinstance(space, dict) and name in space:
            return ("search_space", name, *keys[length:])
    return ("search_space", ".".join(keys)) if keys else ("search_space",)


def _leave_search_space(tree: Tree, path: Path, value: Tree) -> tuple[Path, str | None]:
    """A hyperparameter that is set is searched no more; a component's kind takes its option."""
    space = tree.value.get("search_space")
    name = ".".join(map(str, path[1:]))
    if not isinstance(space, dict):
        return path, None
    if name in space:
        del space[name]
        return path, f"{name} was searched; it is now {shown(value.value)}, and not searched"
    component = name.removesuffix(".kind")
    option = _option(space.get(component), value.value) if component != name else None
    if option is None:
        return path, None
    del space[component]
    value.value = option
    return path[:-1], f"{name} was searched; it is now {option['kind']}, and not searched"


def _option(choice: Any, kind: Any) -> dict[str, Any] | None:
    options = choice.get("options") if isinstance(choice, dict) else None
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and option.get("kind") == kind:
            return dict(option)
    return None
