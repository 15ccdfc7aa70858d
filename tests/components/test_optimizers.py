from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn, optim

from raytune_pipe.base import Mutable, members
from raytune_pipe.components.optimizers import AdamW, Optimizer, Sgd
from raytune_pipe.components.schedules_progress import Factors

each_optimizer = pytest.mark.parametrize(
    "member", members(Optimizer), ids=lambda member: member.__name__
)


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))


def trained(optimizer: optim.Optimizer, weight: nn.Parameter, factors: list[Factors]) -> Tensor:
    """The weight after one step for each factor, on gradients that depend on it."""
    for _ in factors:
        optimizer.zero_grad()
        (weight.sin() * weight).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
    return weight.detach()


PARITY: dict[str, tuple[Optimizer, Callable[[Iterable[nn.Parameter]], optim.Optimizer]]] = {
    "plain": (Sgd(lr=0.1, momentum=0.0), lambda p: optim.SGD(p, lr=0.1)),
    "momentum": (Sgd(lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
    "nesterov": (
        Sgd(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    "adamw": (
        AdamW(lr=0.01, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1),
        lambda p: optim.AdamW(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", PARITY)
def test_equals_torch(name: str) -> None:
    component, build = PARITY[name]
    own, reference = parameter(), parameter()
    optimizer = component.build([own])
    component.set_rates(optimizer, Factors())
    steps = [Factors()] * 20
    torch.testing.assert_close(
        trained(optimizer, own, steps), trained(build([reference]), reference, steps)
    )


@each_optimizer
def test_is_fused(member: type[Optimizer]) -> None:
    assert member().build([parameter()]).param_groups[0]["fused"] is True


@each_optimizer
def test_rates_in_force_are_the_mutable_fields(member: type[Optimizer]) -> None:
    component = member()
    mutable = {
        name
        for name, field in member.model_fields.items()
        if any(isinstance(mark, Mutable) for mark in field.metadata)
    }
    in_force = component.rates_in_force(component.build([parameter()]), Factors())
    assert in_force == {name: getattr(component, name) for name in mutable}


@each_optimizer
@settings(max_examples=50)
@given(lr=st.floats(1e-6, 10), share=st.floats(1e-3, 0.99), factor=st.floats(1e-9, 3))
def test_rates_read_back_exactly(
    member: type[Optimizer], lr: float, share: float, factor: float
) -> None:
    changed = "momentum" if member is Sgd else "beta1"
    component = member.model_validate({"lr": lr, changed: share})
    optimizer, factors = member().build([parameter()]), Factors(lr=factor, momentum=factor / 3)
    component.set_rates(optimizer, factors)
    in_force = component.rates_in_force(optimizer, factors)
    assert (in_force["lr"], in_force[changed]) == (lr, share)


@each_optimizer
def test_rates_that_were_not_applied_show(member: type[Optimizer]) -> None:
    component, other = member(lr=0.5), member(lr=0.2)
    optimizer = component.build([parameter()])
    other.set_rates(optimizer, Factors(lr=0.1))
    assert component.rates_in_force(optimizer, Factors(lr=0.1))["lr"] == pytest.approx(0.2)


@each_optimizer
def test_nothing_of_a_restored_state_stays_in_force(member: type[Optimizer]) -> None:
    donor = member(lr=0.7, weight_decay=0.3).build([parameter()])
    component, weight = member(), parameter()
    optimizer = component.build([weight])
    fresh = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    optimizer.load_state_dict(donor.state_dict())
    component.set_rates(optimizer, Factors())
    assert {key: optimizer.param_groups[0][key] for key in fresh} == fresh


def test_a_zero_factor_is_read_back_as_the_declared_rate() -> None:
    component = Sgd(lr=0.3)
    optimizer = component.build([parameter()])
    component.set_rates(optimizer, Factors(lr=0.0))
    assert component.rates_in_force(optimizer, Factors(lr=0.0))["lr"] == 0.3


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValidationError, match="momentum must be above 0 with nesterov"):
        Sgd(momentum=0.0, nesterov=True)
