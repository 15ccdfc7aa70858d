import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn, optim

from raytune_pipe.base import Mutable, members
from raytune_pipe.components.optimizers import Lion, Muon, Optimizer, Sgd
from raytune_pipe.components.optimizers_adam import Adam, Adamax, AdamW, NAdam, RAdam
from raytune_pipe.components.optimizers_adaptive import Adadelta, Adagrad, RmsProp
from raytune_pipe.components.schedules_progress import Factors

each_optimizer = pytest.mark.parametrize(
    "member", members(Optimizer), ids=lambda member: member.__name__
)
STEPS = 25
FUSED = (Sgd, Adagrad, Adam, AdamW, Muon)
MOMENTUM_OF = {
    Sgd: "momentum",
    RmsProp: "momentum",
    Muon: "momentum",
    **dict.fromkeys((Adam, AdamW, Adamax, NAdam, RAdam, Lion), "beta1"),
}
"""The field that the schedule's momentum factor multiplies; others have none."""


class Net(nn.Module):
    """A matrix, a bias, a norm, a convolution, an embedding and an output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.convolution = nn.Conv1d(3, 3, 1)
        self.hidden = nn.Linear(3, 5)
        self.norm = nn.LayerNorm(5)
        self.head = nn.Linear(5, 2)
        generator = torch.Generator().manual_seed(1)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)


def train(optimizer: optim.Optimizer, model: nn.Module, steps: int = STEPS) -> list[nn.Parameter]:
    """The weights after some steps on gradients that depend on them."""
    parameters = list(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack([(each.sin() * each).sum() for each in parameters]).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
    return parameters


def assert_equal(left: Iterable[nn.Parameter], right: Iterable[nn.Parameter]) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other)


Build = Callable[[Iterable[nn.Parameter]], optim.Optimizer]
PARITY: dict[str, tuple[Optimizer, Build]] = {
    "plain": (Sgd(lr=0.1, momentum=0.0), lambda p: optim.SGD(p, lr=0.1)),
    "momentum": (Sgd(lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
    "nesterov": (
        Sgd(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    "dampening": (
        Sgd(lr=0.1, momentum=0.8, dampening=0.3),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.3),
    ),
    "adagrad": (
        Adagrad(lr=0.1, eps=1e-6, weight_decay=0.02),
        lambda p: optim.Adagrad(p, lr=0.1, eps=1e-6, weight_decay=0.02),
    ),
    "adadelta": (
        Adadelta(lr=0.5, rho=0.8, eps=1e-5, weight_decay=0.02),
        lambda p: optim.Adadelta(p, lr=0.5, rho=0.8, eps=1e-5, weight_decay=0.02),
    ),
    "rmsprop": (RmsProp(lr=0.01), lambda p: optim.RMSprop(p, lr=0.01)),
    "rmsprop with momentum": (
        RmsProp(lr=0.01, momentum=0.7, alpha=0.9, eps=1e-6, weight_decay=0.02),
        lambda p: optim.RMSprop(p, lr=0.01, momentum=0.7, alpha=0.9, eps=1e-6, weight_decay=0.02),
    ),
    "adam": (
        Adam(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
        lambda p: optim.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
    "adamw": (
        AdamW(
            lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1, decay_biases_and_norms=True
        ),
        lambda p: optim.AdamW(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
    "adamax": (
        Adamax(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
        lambda p: optim.Adamax(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
    "nadam": (
        NAdam(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
        lambda p: optim.NAdam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
    "radam": (
        RAdam(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
        lambda p: optim.RAdam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
}


def test_parity_is_tried_with_every_optimizer_of_torch() -> None:
    tried = {type(component) for component, _ in PARITY.values()}
    assert tried | {Muon, Lion} == set(members(Optimizer))  # these two have tests of their own


@pytest.mark.parametrize("name", PARITY)
def test_equals_torch(name: str) -> None:
    component, build = PARITY[name]
    own, reference = Net(), Net()
    optimizer = component.build(own)
    component.set_rates(optimizer, Factors())
    assert_equal(train(optimizer, own), train(build(reference.parameters()), reference))


def test_muon_equals_torchs_two_optimizers() -> None:
    component = Muon(lr=0.01, momentum=0.9, beta1=0.8, beta2=0.99, weight_decay=0.2)
    own, reference = Net(), Net()
    optimizer = component.build(own)
    component.set_rates(optimizer, Factors())
    train(optimizer, own)
    muon = optim.Muon(
        [reference.hidden.weight],
        lr=0.01,
        momentum=0.9,
        weight_decay=0.2,
        adjust_lr_fn="match_rms_adamw",
    )
    rest = {p for p in reference.parameters() if p is not reference.hidden.weight}
    flat = {p for p in rest if p.ndim < 2}
    grouped: list[dict[str, Any]] = [
        {"params": [*(rest - flat)]},
        {"params": [*flat], "weight_decay": 0.0},
    ]
    adamw = optim.AdamW(
        grouped,
        lr=0.01,
        betas=(0.8, 0.99),
        weight_decay=0.2,
    )
    for _ in range(STEPS):
        muon.zero_grad()
        adamw.zero_grad()
        torch.stack([(each.sin() * each).sum() for each in reference.parameters()]).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        muon.step()  # type: ignore[no-untyped-call]  # torch's
        adamw.step()
    assert_equal(own.parameters(), reference.parameters())


@pytest.mark.parametrize("model", [nn.Linear(3, 2, bias=False), nn.LayerNorm(3)])
def test_muon_takes_models_of_one_kind_of_weights(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.data.fill_(0.5)
    before = copy.deepcopy(model)
    train(Muon(lr=0.1).build(model), model, 1)
    for one, other in zip(before.parameters(), model.parameters(), strict=True):
        assert not torch.equal(one, other)


@pytest.mark.parametrize("decays", [False, True])
def test_lion_follows_its_published_rule(decays: bool) -> None:
    component = Lion(
        lr=0.01, beta1=0.8, beta2=0.95, weight_decay=0.3, decay_biases_and_norms=decays
    )
    own = Net()
    weights = [parameter.detach().double() for parameter in own.parameters()]
    means = [torch.zeros_like(weight) for weight in weights]
    train(component.build(own), own)
    for _ in range(STEPS):
        for weight, mean in zip(weights, means, strict=True):
            gradient = weight.cos() * weight + weight.sin()
            update = torch.sign(0.8 * mean + 0.2 * gradient)
            decay = 0.3 if decays or weight.ndim >= 2 else 0.0
            weight -= 0.01 * (update + decay * weight)
            mean.mul_(0.95).add_(0.05 * gradient)
    for parameter, weight in zip(own.parameters(), weights, strict=True):
        torch.testing.assert_close(parameter.detach().double(), weight, rtol=1e-5, atol=1e-6)


@each_optimizer
def test_is_fused_or_takes_many_tensors_at_a_time(member: type[Optimizer]) -> None:
    last = member().build(Net()).param_groups[-1]
    if member is not Lion:  # ours always does
        assert last["fused" if member in FUSED else "foreach"] is True


@each_optimizer
@pytest.mark.parametrize("decays", [False, True])
def test_biases_and_norms_decay_if_they_are_told_to(member: type[Optimizer], decays: bool) -> None:
    component = member.model_validate({"weight_decay": 0.5, "decay_biases_and_norms": decays})
    model = Net()
    optimizer = component.build(model)
    for group in optimizer.param_groups:  # before any rates are set, and after
        assert group["weight_decay"] == (0.5 if decays or group["params"][0].ndim >= 2 else 0.0)
    component.set_rates(optimizer, Factors(lr=0.1))
    decayed = [
        p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]
    ]
    expected = [p for p in model.parameters() if decays or p.ndim >= 2]
    assert {id(parameter) for parameter in decayed} == {id(parameter) for parameter in expected}


def test_what_decoupled_decay_spares_by_default() -> None:
    spared = {m for m in members(Optimizer) if not m.model_fields["decay_biases_and_norms"].default}
    assert spared == {AdamW, Muon, Lion}


@each_optimizer
def test_rates_in_force_are_the_mutable_fields(member: type[Optimizer]) -> None:
    component = member()
    mutable = {
        name
        for name, field in member.model_fields.items()
        if any(isinstance(mark, Mutable) for mark in field.metadata)
    }
    in_force = component.rates_in_force(component.build(Net()), Factors())
    assert in_force == {name: getattr(component, name) for name in mutable}
    assert {"lr", "weight_decay"} <= mutable


@each_optimizer
@settings(max_examples=30)
@given(lr=st.floats(1e-6, 10), share=st.floats(1e-3, 0.99), factor=st.floats(1e-9, 3))
def test_rates_read_back_exactly(
    member: type[Optimizer], lr: float, share: float, factor: float
) -> None:
    fields = {"lr": lr, MOMENTUM_OF.get(member, "weight_decay"): share, "weight_decay": share}
    component = member.model_validate(fields)
    optimizer, factors = member().build(Net()), Factors(lr=factor, momentum=factor / 3)
    component.set_rates(optimizer, factors)
    in_force = component.rates_in_force(optimizer, factors)
    assert {name: in_force[name] for name in fields} == fields


@each_optimizer
def test_the_momentum_factor_moves_the_momentum_alone(member: type[Optimizer]) -> None:
    def held(momentum: float) -> list[dict[str, object]]:
        optimizer = component.build(Net())
        component.set_rates(optimizer, Factors(momentum=momentum))
        return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]

    component = RmsProp(momentum=0.9) if member is RmsProp else member()
    moved = {
        key
        for before, after in zip(held(1.0), held(0.5), strict=True)
        for key in before
        if before[key] != after[key]
    }
    expected = {"momentum": {"momentum"}, "beta1": {"betas"}}.get(
        MOMENTUM_OF.get(member, ""), set()
    )
    assert moved == (expected | {"betas"} if member is Muon else expected)


@each_optimizer
@pytest.mark.parametrize("group", [0, -1])
def test_rates_that_one_group_does_not_have_show(member: type[Optimizer], group: int) -> None:
    component = member(lr=0.5, weight_decay=0.1, decay_biases_and_norms=False)
    optimizer, factors = component.build(Net()), Factors(lr=0.1)
    component.set_rates(optimizer, factors)
    assert component.rates_in_force(optimizer, factors)["lr"] == 0.5
    optimizer.param_groups[group]["lr"] = 0.02
    optimizer.param_groups[group]["weight_decay"] = 0.3
    in_force = component.rates_in_force(optimizer, factors)
    assert in_force["lr"] == pytest.approx(0.2)
    assert in_force["weight_decay"] == 0.3


def test_a_zero_factor_is_read_back_as_the_declared_rate() -> None:
    component = Sgd(lr=0.3)
    optimizer = component.build(Net())
    component.set_rates(optimizer, Factors(lr=0.0))
    assert component.rates_in_force(optimizer, Factors(lr=0.0))["lr"] == 0.3
    optimizer.param_groups[0]["lr"] = 0.1
    assert component.rates_in_force(optimizer, Factors(lr=0.0))["lr"] != 0.3


def test_nesterov_needs_momentum_without_dampening() -> None:
    with pytest.raises(ValidationError, match="momentum must be above 0 with nesterov"):
        Sgd(momentum=0.0, nesterov=True)
    with pytest.raises(ValidationError, match=r"dampening must be 0 with nesterov, but got 0\.5"):
        Sgd(dampening=0.5, nesterov=True)


def test_adam_differs_from_adamw_by_how_it_decays() -> None:
    coupled, decoupled = Net(), Net()
    fields = {"lr": 0.01, "weight_decay": 0.5, "decay_biases_and_norms": True}
    train(Adam.model_validate(fields).build(coupled), coupled, 5)
    train(AdamW.model_validate(fields).build(decoupled), decoupled, 5)
    differences = [
        (one - other).abs().max().item()
        for one, other in zip(coupled.parameters(), decoupled.parameters(), strict=True)
    ]
    assert min(differences) > 1e-4
    assert math.isfinite(max(differences))
