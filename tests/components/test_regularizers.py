from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raytune_pipe.components.regularizers import L1, ClipNorm, Regularizers


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_l1_sums_the_weights_and_spares_biases_and_norms() -> None:
    model = network()
    penalty = L1(weight=0.5).penalty(model)
    first, _, last = model.children()
    expected = 0.5 * sum(cast(nn.Linear, layer).weight.abs().sum() for layer in (first, last))
    torch.testing.assert_close(penalty, expected)


def test_l1_pulls_every_weight_by_its_sign() -> None:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight[0, 0] = 0.0
    L1(weight=0.5).penalty(model).backward()  # type: ignore[no-untyped-call]  # torch's
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, 0.5 * model.weight.sign())
    assert model.bias.grad is None


@settings(max_examples=30)
@given(scale=st.floats(1e-3, 1e3), max_norm=st.floats(1e-2, 1e2))
def test_clip_norm_bounds_the_global_norm_and_keeps_the_direction(
    scale: float, max_norm: float
) -> None:
    model = nn.Linear(3, 2)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)
    before = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    ClipNorm(max_norm=max_norm).after_backward(model)
    after = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    expected = before * min(1.0, max_norm / before.norm().item())
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-6)


def test_hooks_come_from_those_that_are_on() -> None:
    assert Regularizers().active() == []
    clip_norm, l1 = ClipNorm(), L1()
    both = Regularizers(clip_norm=clip_norm, l1=l1)
    assert both.active() == [l1, clip_norm]
    assert both.hooks("penalty") == [l1.penalty]
    assert both.hooks("after_backward") == [clip_norm.after_backward]
    assert both.hooks("after_step") == []


@pytest.mark.parametrize("text", ["{}", '{"l1": null}', '{"clip_norm": {}}'])
def test_an_absent_one_is_off(text: str) -> None:
    assert Regularizers.model_validate_json(text).l1 is None
