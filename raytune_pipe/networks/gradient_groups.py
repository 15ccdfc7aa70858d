"""The gradients of a model in groups, by layer or by type, each scaled by its own norm.

In a few operations over all gradients together, as a step of a small network takes 100 us.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from raytune_pipe.networks.weights import NORMS

Grouping = Callable[[nn.Module], Sequence[Sequence[nn.Parameter]]]


def by_layer(model: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters that one module has itself, its weights and biases, are a group."""
    own = [list(module.parameters(recurse=False)) for module in model.modules()]
    return _each_once([group for group in own if group])


def by_type(model: nn.Module) -> list[list[nn.Parameter]]:
    """Four groups at most: weights, biases, norm layers, embeddings.

    What has one dimension and is of no norm layer counts as a bias.
    """
    groups: dict[str, list[nn.Parameter]] = {
        kind: [] for kind in ("norm", "embedding", "bias", "weight")
    }
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if isinstance(module, NORMS):
                kind = "norm"
            elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
                kind = "embedding"
            else:
                kind = "bias" if parameter.ndim < 2 else "weight"
            groups[kind].append(parameter)
    return _each_once([group for group in groups.values() if group])


def scale_by_norm(
    model: nn.Module, grouping: Grouping, factors: Callable[[Tensor], Tensor]
) -> None:
    """Multiply the gradients of each group by a factor of the group's L2 norm, in place.

    Args:
        model: After a backward pass; parameters without a gradient are left out.
        grouping: Which parameters are a group.
        factors: From the norms of all groups [groups] to their factors [groups].
    """
    layout = _layout(model, grouping)
    gradients = [p.grad for p in layout.parameters if p.grad is not None]
    if not gradients:
        return
    squares = torch.stack(torch._foreach_norm(gradients)).square()
    # A sum over a padded table: adding by index is not deterministic on a GPU.
    padded = torch.cat([squares, squares.new_zeros(1)])
    each = factors(padded[layout.table].sum(1).sqrt())[layout.group_of]
    torch._foreach_mul_(gradients, list(each.unbind()))


class _Layout(NamedTuple):
    """Of those parameters that have a gradient."""

    has_gradient: list[bool]
    """Of all of them, in the groups' order."""
    parameters: list[nn.Parameter]
    table: Tensor
    """Numbers of each group's parameters, filled up with the one past the last: [groups, most]."""
    group_of: Tensor
    """[parameters]."""


class _Grouped(NamedTuple):
    groups: Sequence[Sequence[nn.Parameter]]
    layout: _Layout


_known: "WeakKeyDictionary[nn.Module, dict[Grouping, _Grouped]]" = WeakKeyDictionary()
"""Found anew only where other parameters have a gradient than at the step before."""


def _layout(model: nn.Module, grouping: Grouping) -> _Layout:
    known = _known.setdefault(model, {})
    found = known.get(grouping)
    groups = found.groups if found else grouping(model)
    has_gradient = [parameter.grad is not None for group in groups for parameter in group]
    if not found or found.layout.has_gradient != has_gradient:
        found = known[grouping] = _Grouped(groups, _made(groups, has_gradient))
    return found.layout


def _made(groups: Sequence[Sequence[nn.Parameter]], has_gradient: list[bool]) -> _Layout:
    present = [[p for p in group if p.grad is not None] for group in groups]
    present = [group for group in present if group]
    parameters = [parameter for group in present for parameter in group]
    device = parameters[0].device if parameters else None
    most = max(map(len, present), default=0)
    table: list[list[int]] = []
    group_of: list[int] = []
    for number, group in enumerate(present):
        first = len(group_of)
        own = list(range(first, first + len(group)))
        table.append(own + [len(parameters)] * (most - len(group)))
        group_of += [number] * len(group)
    return _Layout(
        has_gradient,
        parameters,
        torch.tensor(table, dtype=torch.int64, device=device),
        torch.tensor(group_of, dtype=torch.int64, device=device),
    )


def _each_once(groups: list[list[nn.Parameter]]) -> list[list[nn.Parameter]]:
    """A parameter that several modules share is in the first group alone."""
    seen: set[nn.Parameter] = set()
    once = []
    for group in groups:
        own = [parameter for parameter in dict.fromkeys(group) if parameter not in seen]
        seen.update(own)
        if own:
            once.append(own)
    return once
