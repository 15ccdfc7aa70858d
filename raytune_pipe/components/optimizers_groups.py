"""A torch optimizer's parameter groups: the rates in them, set and read back, and its state."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from raytune_pipe.base import Component, Mutable, Value
from raytune_pipe.components.schedules_progress import Factors

if TYPE_CHECKING:
    from torch import nn, optim

UNSCHEDULED = Factors()
"""What leaves the declared rates as they are."""
DECAYS = "decays"
"""Key of a group: whether weight decay acts on its parameters."""
NO_RATES = ("kind", "decay_biases_and_norms")
PAIRED = {"beta1": ("betas", 0), "beta2": ("betas", 1)}
"""Fields that torch keeps as one entry, and their place in it."""
BETAS = "declared_betas"
"""Key of a group that has betas: what they are without the schedule's factor."""
MEANS = {"exp_avg": 0, "exp_avg_sq": 1}
"""Keys of a state, by torch's names: means of gradients and of their squares; and their beta."""
WEIGHTS = "weights_of_means"
"""Key of a saved state: the sum of the weights in each of them."""


def groups(
    parameters: "Iterable[nn.Parameter]", *, decay_biases_and_norms: bool
) -> list[dict[str, Any]]:
    """Groups for torch: all in one, or biases and norms, which have no matrix, in a second.

    What has fewer than two dimensions is a bias, or the scale of a norm.
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if decay_biases_and_norms or parameter.ndim >= 2 else others).append(parameter)
    both = [
        {"params": decayed, DECAYS: True},
        {"params": others, DECAYS: False, "weight_decay": 0.0},
    ]
    return [group for group in both if group["params"]]


def entries(component: Component, factors: Factors = UNSCHEDULED) -> dict[str, Any]:
    """What torch's groups hold under this configuration times the factors, by torch's names."""
    values: dict[str, Any] = {**vars(component)}  # once a step: a model's own iterator is slow
    for name in NO_RATES:
        del values[name]
    values["lr"] *= factors.lr
    if "momentum" in values:
        values["momentum"] *= factors.momentum
    if "beta1" in values:
        values["betas"] = (values.pop("beta1") * factors.momentum, values.pop("beta2"))
    return values


def set_entries(optimizer: "optim.Optimizer", component: Component, factors: Factors) -> None:
    """Set every hyperparameter of every group that has it."""
    values = entries(component, factors)
    declared = tuple(vars(component).get(name) for name in PAIRED)
    for group in optimizer.param_groups:
        for key, value in values.items():
            if key in group:
                group[key] = value
        if "betas" in group:
            group[BETAS] = declared
        if not group[DECAYS]:
            group["weight_decay"] = 0.0


def entries_in_force(
    optimizer: "optim.Optimizer", component: Component, factors: Factors
) -> dict[str, Value]:
    """The mutable fields as the live groups hold them, factors divided out.

    Of one that a group holds otherwise than declared, what that group holds.
    """
    by_field = {"lr": factors.lr, "momentum": factors.momentum, "beta1": factors.momentum}
    return {
        name: _in_force(
            optimizer.param_groups, name, getattr(component, name), by_field.get(name, 1.0)
        )
        for name, field in type(component).model_fields.items()
        if any(isinstance(mark, Mutable) for mark in field.metadata)
    }


def _in_force(
    live: Iterable[Mapping[str, Any]], name: str, declared: float, factor: float
) -> float:
    key, place = PAIRED.get(name, (name, None))
    for group in live:
        if key not in group:
            continue
        applied: float = group[key] if place is None else group[key][place]
        decays = name != "weight_decay" or group[DECAYS]
        # (declared * factor) / factor is off by a rounding error, which would look like a change.
        if applied != (declared * factor if decays else 0.0):
            return applied / factor if factor else applied
    return declared


def drop_unused_momentum(optimizer: "optim.Optimizer") -> None:
    """Forget the mean of the steps where there is no momentum; a hook for after a load.

    torch keeps it as it was then, and takes it up again under the first momentum above 0.
    """
    for group in optimizer.param_groups:
        if group["momentum"] == 0:
            for parameter in group["params"]:
                optimizer.state.get(parameter, {}).pop("momentum_buffer", None)


def state_by_parameter(
    optimizer: "optim.Optimizer", model: "nn.Module"
) -> dict[int, dict[str, Any]]:
    """The optimizer's state by the number of the parameter in the model, whatever the groups.

    Beside its means of gradients stand the sums of their weights, which `load_state` needs.
    """
    numbers = {parameter: number for number, parameter in enumerate(model.parameters())}
    saved: dict[int, dict[str, Any]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in optimizer.state:
                state = optimizer.state[parameter]
                saved[numbers[parameter]] = {**state, WEIGHTS: _weights(state, group)}
    return saved


def load_state(
    optimizer: "optim.Optimizer", model: "nn.Module", saved: Mapping[int, dict[str, Any]]
) -> None:
    """Set the state from one by parameter; the groups keep what they hold.

    Adam and its kin take the weights in a mean of gradients to add up to 1 - beta ** steps, as if
    beta had always been what it is now: after 200 steps under a beta2 of 0.999, raised to 0.9999,
    the next ones would be a third as large as they should. So means are scaled to such weights.
    """
    numbers = {parameter: number for number, parameter in enumerate(model.parameters())}
    grouped = [
        (numbers[parameter], group)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    by_place = {
        place: _scaled(saved[number], group)
        for place, (number, group) in enumerate(grouped)
        if number in saved
    }
    own_rates = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": by_place, "param_groups": own_rates})


def _scaled(saved: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    state = {name: value for name, value in saved.items() if name != WEIGHTS}
    before = saved.get(WEIGHTS, {})
    for name, weight in _weights(state, group).items():
        if weight != before.get(name, weight):
            state[name] = state[name] * (weight / before[name])
    return state


def _weights(state: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, float]:
    """Of each mean that is divided by the sum of its weights, that sum."""
    if "betas" not in group or "step" not in state:
        return {}
    betas, steps = group.get(BETAS, group["betas"]), float(state["step"])
    means = set(MEANS) & set(state)
    if "mu_product" in state:  # NAdam's own sum for the first one, by the betas as they were
        means -= {"exp_avg"}
    return {name: 1.0 - float(betas[MEANS[name]] ** steps) for name in sorted(means)}
