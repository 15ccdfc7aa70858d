"""What an ``experiment.yaml`` must say so that results made elsewhere can be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raytune_pipe.base import ConfigError
from raytune_pipe.distributions import DISTRIBUTION
from raytune_pipe.results.files import storage_errors
from raytune_pipe.search_space import Condition, Hyperparameter, SearchSpace

MAX_BYTES = 250_000


def read_mapping(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file, plain values.

    Raises:
        ConfigError: it is not YAML, or not a mapping.
        ResultsError: it cannot be read.
    """
    with storage_errors(file), file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: must have at most {MAX_BYTES:,} bytes, but has more")
    try:
        found = YAML(typ="safe", pure=True).load(data.decode("utf-8-sig"))
    except (YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or "too many levels"
        raise ConfigError(f"{file}: must be YAML, but {reason}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: must be a mapping, but got {found!r:.80}")
    return found


def require_launched(experiment: Mapping[str, Any], run: Path) -> None:
    """Raise ConfigError unless the run can be gone on with: an imported one trains nothing."""
    if "trial" not in experiment:
        source = experiment.get("imported_from", "another program's tables")
        raise ConfigError(
            f"{run}: must be a run that raytune-pipe launched to go on with it, but it is made from"
            f" {source}; go on where it came from, or import what is there now under another name"
        )


def space_of(experiment: Mapping[str, Any], where: Path) -> SearchSpace:
    """The search space of an experiment: each name with its distribution.

    A hyperparameter that applies under some values of others says so beside its distribution:
    ``when: {optimizer.kind: [sgd]}``.

    Raises:
        ConfigError: there is none, a distribution is not valid, or a parent is missing.
    """
    entries = experiment.get("search_space")
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError(
            f"{where}: search_space: must name hyperparameters with their distributions, but got "
            f"{entries!r:.80}; write, say, lr: {{kind: log_uniform, low: 1e-5, high: 1.0}}"
        )
    found = {str(name): _hyperparameter(str(name), entry, where) for name, entry in entries.items()}
    ordered: dict[str, Hyperparameter] = {}
    while len(ordered) < len(found):  # parents first
        ready = {
            name: one
            for name, one in found.items()
            if name not in ordered and all(each.parent in ordered for each in one.conditions)
        }
        if not ready:
            [name, *_] = (name for name in found if name not in ordered)
            raise ConfigError(
                f"{where}: search_space.{name}.when: must name other hyperparameters of the search"
                " space that do not depend on this one, but got"
                f" {', '.join(each.parent for each in found[name].conditions)}"
            )
        ordered |= ready
    return SearchSpace(tuple(ordered.values()))


def objective_of(experiment: Mapping[str, Any], where: Path) -> dict[str, str]:
    """The objective: metric, mode (min unless told) and at (last unless told).

    Raises:
        ConfigError: it is not valid.
    """
    entry = experiment.get("objective")
    if not isinstance(entry, Mapping) or not isinstance(entry.get("metric"), str):
        raise ConfigError(
            f"{where}: objective: must name the metric, such as {{metric: val_loss, mode: min}}, "
            f"but got {entry!r:.80}"
        )
    mode, at = entry.get("mode", "min"), entry.get("at", "last")
    if mode not in ("min", "max") or at not in ("last", "best"):
        raise ConfigError(
            f"{where}: objective: mode must be min or max and at must be last or best, but got "
            f"{mode!r} and {at!r}"
        )
    return {"metric": entry["metric"], "mode": mode, "at": at}


def _hyperparameter(name: str, entry: Any, where: Path) -> Hyperparameter:
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f"{where}: search_space.{name}: must be a distribution such as {{kind: uniform, low: 0,"
            f" high: 1}}, but got {entry!r:.80}"
        )
    rest = {key: value for key, value in entry.items() if key != "when"}
    try:
        distribution = DISTRIBUTION.validate_python(rest, strict=False)
    except ValidationError as error:
        said = "; ".join(
            ".".join(map(str, (name, *one["loc"][1:])))
            + f": must be valid, but got {one['input']!r:.80}: {one['msg']}"
            for one in error.errors(include_url=False)
        )
        raise ConfigError(f"{where}: search_space.{said}") from error
    return Hyperparameter(name, distribution, _conditions(name, entry.get("when"), where))


def _conditions(name: str, when: Any, where: Path) -> tuple[Condition, ...]:
    if when is None:
        return ()
    if not isinstance(when, Mapping):
        raise ConfigError(
            f"{where}: search_space.{name}.when: must name hyperparameters and their values, such "
            f"as {{optimizer.kind: [sgd]}}, but got {when!r:.80}"
        )
    return tuple(
        Condition(str(parent), tuple(values if isinstance(values, list) else [values]))
        for parent, values in when.items()
    )
