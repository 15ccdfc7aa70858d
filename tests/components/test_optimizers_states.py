"""What optimizers keep between steps: through restores, copies and changed rates."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from raytune_pipe.base import Component
from raytune_pipe.components.optimizers import Muon, Optimizer, Sgd
from raytune_pipe.components.optimizers_adam import Adam, Adamax, AdamW, NAdam, RAdam
from raytune_pipe.components.optimizers_adaptive import RmsProp
from raytune_pipe.components.optimizers_groups import load_state, state_by_parameter
from raytune_pipe.components.schedules_progress import Factors
from tests.components.test_optimizers import MOMENTUM_OF, Net, each_optimizer, train


@each_optimizer
def test_nothing_of_a_restored_state_stays_in_force(member: type[Optimizer]) -> None:
    donor = member(lr=0.7, weight_decay=0.3).build(Net())
    component = member()
    optimizer = component.build(Net())
    fresh = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    optimizer.load_state_dict(donor.state_dict())
    component.set_rates(optimizer, Factors())
    for group, expected in zip(optimizer.param_groups, fresh, strict=True):
        assert {key: group[key] for key in expected} == expected


@each_optimizer
def test_a_restored_state_goes_on_to_the_last_bit(member: type[Optimizer]) -> None:
    through, other = Net(), Net()
    optimizer = member().build(through)
    train(optimizer, through, 3)
    other.load_state_dict(through.state_dict())
    restored = member().build(other)
    own_rates = restored.state_dict()["param_groups"]
    state = copy.deepcopy(optimizer.state_dict()["state"])
    restored.load_state_dict({"state": state, "param_groups": own_rates})
    train(optimizer, through, 3)
    train(restored, other, 3)
    for left, right in zip(through.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("member", [m for m in MOMENTUM_OF if MOMENTUM_OF[m] == "momentum"])
@pytest.mark.parametrize(("donors", "own"), [(0.0, 0.9), (0.9, 0.0)])
def test_momentum_may_come_and_go_with_a_copy(
    member: type[Component], donors: float, own: float
) -> None:
    """torch's RMSprop has no place for it in a state that began without."""
    donor, copied = Net(), Net()
    before = member.model_validate({"momentum": donors}).build(donor)  # type: ignore[attr-defined]  # of the union
    train(before, donor, 3)
    component = member.model_validate({"momentum": own})
    optimizer = component.build(copied)  # type: ignore[attr-defined]  # of the union
    own_rates = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": before.state_dict()["state"], "param_groups": own_rates})
    component.set_rates(optimizer, Factors())  # type: ignore[attr-defined]  # of the union
    for parameter in train(optimizer, copied, 3):
        assert torch.isfinite(parameter).all()


@pytest.mark.parametrize("member", [Sgd, RmsProp])
def test_momentum_that_was_gone_does_not_come_back(member: type[Sgd] | type[RmsProp]) -> None:
    """Of a population's member that copies one without momentum, which copied one with it."""
    model, state = nn.Linear(2, 2), dict[int, dict[str, Any]]()
    for momentum in (0.9, 0.0, 0.9):
        component = member(lr=0.1, momentum=momentum)
        optimizer = component.build(model)
        load_state(optimizer, model, state)
        component.set_rates(optimizer, Factors())
        before = copy.deepcopy(model.weight)
        model.weight.grad = torch.full_like(before, 5.0 if not state else 0.0)
        optimizer.step()
        state = state_by_parameter(optimizer, model)
    assert torch.equal(model.weight, before), "a gradient of zero moves nothing"


def unbiased_means(optimizer: optim.Optimizer, betas: dict[str, float]) -> list[torch.Tensor]:
    """Means of gradients and of their squares, divided by the sum of their weights."""
    return [
        state[name] / (1 - beta ** float(state["step"]))
        for state in optimizer.state.values()
        for name, beta in betas.items()
        if name in state
    ]


@pytest.mark.parametrize(
    ("member", "without"),
    [
        *((member, set()) for member in (Adam, AdamW, RAdam, Muon)),
        (Adamax, {"exp_avg_sq"}),
        (NAdam, {"exp_avg"}),  # whose weights it adds up itself
    ],
)
def test_changed_betas_leave_the_means_as_they_were(
    member: Callable[..., Adam], without: set[str]
) -> None:
    def means(optimizer: optim.Optimizer, component: Adam) -> list[torch.Tensor]:
        betas = {"exp_avg": component.beta1, "exp_avg_sq": component.beta2}
        return unbiased_means(optimizer, {k: v for k, v in betas.items() if k in corrected})

    model, component = Net(), member(lr=1e-3, beta1=0.8, beta2=0.99)
    corrected = {"exp_avg", "exp_avg_sq"} - without
    optimizer = component.build(model)
    component.set_rates(optimizer, Factors(momentum=0.7))
    train(optimizer, model)
    for beta1, beta2 in ((0.99, 0.9999), (0.5, 0.5), (0.0, 0.0), (0.9, 0.999)):
        expected, state = means(optimizer, component), state_by_parameter(optimizer, model)
        component = member(lr=1e-3, beta1=beta1, beta2=beta2)
        optimizer = component.build(model)
        load_state(optimizer, model, state)
        component.set_rates(optimizer, Factors(momentum=0.7))
        found = means(optimizer, component)
        assert len(found) == len(expected) > 0
        for own, before in zip(found, expected, strict=True):
            torch.testing.assert_close(own, before, rtol=1e-4, atol=0.0)


def test_changed_betas_leave_the_size_of_steps_as_it_was() -> None:
    """Under a gradient that stays the same each of Adam's steps is the learning rate."""
    model, state = nn.Linear(1, 1, bias=False), dict[int, dict[str, Any]]()
    for beta1, beta2 in ((0.5, 0.99), (0.98, 0.9999), (0.9, 0.9)):
        optimizer = Adam(lr=0.01, beta1=beta1, beta2=beta2).build(model)
        load_state(optimizer, model, state)
        for _ in range(30):
            before = model.weight.item()
            model.weight.grad = torch.full_like(model.weight, 3.0)
            optimizer.step()
            assert before - model.weight.item() == pytest.approx(0.01, rel=1e-4)
        state = state_by_parameter(optimizer, model)


@each_optimizer
def test_a_state_goes_into_a_checkpoint_and_back_to_the_last_bit(member: type[Optimizer]) -> None:
    model = Net()
    optimizer, restored = member().build(model), member().build(model)
    member().set_rates(optimizer, Factors(lr=0.5, momentum=0.7))  # as a schedule leaves it
    train(optimizer, model, 7)
    load_state(restored, model, state_by_parameter(optimizer, model))
    for parameter in model.parameters():
        before, after = optimizer.state[parameter], restored.state[parameter]
        assert before.keys() == after.keys()
        for key, value in before.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(after[key]))
