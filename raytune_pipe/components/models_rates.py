"""Rates of a model that may change while it trains: dropout of each kind, stochastic depth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from pydantic import Field

from raytune_pipe.base import Component, Fraction, Value, list_text

if TYPE_CHECKING:
    from torch import nn


Rates = Fraction | Annotated[tuple[Fraction, ...], Field(min_length=1)]
"""One rate for all layers, or one for each."""


class RateHolder(Protocol):
    """A module with a rate, such as `torch.nn.Dropout`."""

    p: float


class HasRates(Protocol):
    """A network of ours."""

    def rate_holders(self) -> Mapping[str, Sequence[RateHolder]]:
        """The modules that hold each rate, in the order of the layers, by hyperparameter."""


def require_one_each(name: str, rates: Rates, layers: int) -> None:
    """Raise ValueError where a list has not one rate for each layer."""
    if isinstance(rates, tuple) and len(rates) != layers:
        raise ValueError(
            f"{name} must be one rate, or a list of one for each of the {layers} layers, but got"
            f" {len(rates)}"
        )


def set_rates(component: Component, module: "nn.Module") -> None:
    """Set the component's rates on the live module."""
    for name, holders in cast("HasRates", module).rate_holders().items():
        rates = getattr(component, name)
        each = rates if isinstance(rates, tuple) else (rates,) * len(holders)
        for holder, rate in zip(holders, each, strict=True):
            holder.p = rate


def rates_in_force(component: Component, module: "nn.Module") -> dict[str, Value]:
    """The rates as the live module holds them; a list as its text, like other lists.

    The component tells only whether a rate is one for all layers, or a list.
    """
    found: dict[str, Value] = {}
    for name, holders in cast("HasRates", module).rate_holders().items():
        live = [holder.p for holder in holders]
        is_one = not isinstance(getattr(component, name), tuple) and len(set(live)) == 1
        found[name] = live[0] if is_one else list_text(live)
    return found
