"""How a command is told a run: its folder, or the URI of one in a bucket."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from raytune_pipe.experiment import Experiment


class RunFolder(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.3, the floor
    """A folder; for a URI, the driver's own where it runs here, else a copy for this command alone.

    To go on with a run it is always the driver's, fetched from the bucket if need be.
    """

    name = "run"

    def __init__(self, *, to_go_on: bool = False) -> None:
        self._to_go_on = to_go_on

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The folder; raises ResultsError where the bucket has no such run."""
        if isinstance(value, Path) or "://" not in value:
            return Path(value)
        return self._of_bucket(_location(value), ctx)

    def _of_bucket(self, location: str, ctx: click.Context | None) -> Path:
        from raytune_pipe.results.bucket_runs import copied_run, fetch_run
        from raytune_pipe.results.locations import is_uri, local_folder
        from raytune_pipe.results.lock import is_held

        if not is_uri(location):
            return Path(location)
        if self._to_go_on or ctx is None:
            return fetch_run(location)
        own = local_folder(location)
        return own if is_held(own) else ctx.with_resource(copied_run(location))


class RunLocation(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.3, the floor
    """A folder, or a URI as it is."""

    name = "run"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """Either of them; raises ConfigError where it is neither."""
        if isinstance(value, Path) or "://" not in value:
            return Path(value)
        location = _location(value)
        return location if "://" in location else Path(location)


def own_folder(experiment: "Experiment") -> Path:
    """The folder on this disk in which a run of an experiment lies, or would."""
    from raytune_pipe.results.locations import is_uri, local_folder

    if is_uri(experiment.storage):
        return local_folder(f"{experiment.storage}/{experiment.name}")
    return Path(experiment.storage) / experiment.name


def run_of(experiment: "Experiment") -> Path:
    """Likewise, fetched if it is in a bucket and not here.

    Raises:
        ResultsError: the bucket is out of reach, or what it has of the run is damaged.
    """
    from raytune_pipe.results.bucket_runs import fetch_run, has_run
    from raytune_pipe.results.locations import is_uri

    uri = f"{experiment.storage}/{experiment.name}"
    return fetch_run(uri) if is_uri(uri) and has_run(uri) else own_folder(experiment)


def told(path: Path | str) -> str:
    """What a user calls a run that lies in a folder: its URI, if it has one."""
    from raytune_pipe.results.locations import uri_of

    return uri_of(Path(path)) or str(path)


def _location(value: str) -> str:
    from raytune_pipe.base import ConfigError
    from raytune_pipe.results.locations import normalized

    try:
        return normalized(value)
    except ValueError as error:
        raise ConfigError(f"{value}: a run {error}") from error
