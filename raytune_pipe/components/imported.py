"""The user's own code, named by an import target such as ``my_pkg.nets:Wide``.

Which prefixes may be imported is checked when the experiment file is loaded, before anything here
runs; nothing is imported before it is built.
"""

import importlib
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from raytune_pipe.base import ConfigError

Target = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
"""``package.module:Name``."""


def _exact(args: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The arguments, if the tables can hold each of their whole numbers."""
    for name, value in args.items():
        if isinstance(value, dict):
            _exact(value)
        elif isinstance(value, int) and abs(value) > 2**53:
            raise ValueError(
                f"whole numbers must be at most 2**53 = {2**53} in size, but {name} is {value};"
                " give it as text"
            )
    return args


Args = Annotated[dict[str, JsonValue], AfterValidator(_exact)]
"""Keyword arguments for the target."""


def load_target(target: str) -> Any:
    """Import what the target names; raises ConfigError if it is not there."""
    module_name, name = target.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the target is there, and lacks a module of its own
        raise ConfigError(
            f"target must name a module that can be imported, but got {target} ({error}); install"
            " it, or add its folder to PYTHONPATH"
        ) from error
    if not hasattr(module, name):
        raise ConfigError(
            f"target must name something in its module, but {module_name} has no {name};"
            " check the part behind the colon"
        )
    return getattr(module, name)
