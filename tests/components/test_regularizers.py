from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raytune_pipe.components.regularizers import (
    L1,
    L2,
    ClipLayerNorm,
    ClipNorm,
    ClipTypeNorm,
    ClipValue,
    MaxNorm,
    Regularizers,
    UnitNorm,
)


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


def with_gradients(scale: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    model = network()
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)
    return model


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [
        parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
    ]


def layer_norms(model: nn.Module) -> list[float]:
    """L2 norms of the gradient of the three layers."""
    found = gradients(model)
    return [
        torch.cat([w.flatten(), b]).norm().item()
        for w, b in zip(found[::2], found[1::2], strict=True)
    ]


def test_l2_is_weight_decay_that_spares_biases_and_norms() -> None:
    model, twin = with_gradients(), with_gradients()
    L2(weight=0.1).after_backward(model)
    decayed: dict[str, Any] = {
        "params": [p for p in twin.parameters() if p.ndim >= 2],
        "weight_decay": 0.1,
    }
    spared: dict[str, Any] = {"params": [p for p in twin.parameters() if p.ndim < 2]}
    optimizer = torch.optim.SGD([decayed, spared], lr=1.0)
    optimizer.step()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for own, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, expected)


def test_l2_is_the_gradient_of_half_the_sum_of_squares() -> None:
    model = nn.Linear(3, 2)
    (0.5 * 0.3 * model.weight.square().sum()).backward()  # type: ignore[no-untyped-call]  # torch's
    expected = gradients(model)[0]
    model.weight.grad = torch.zeros_like(model.weight)
    L2(weight=0.3).after_backward(model)
    torch.testing.assert_close(model.weight.grad, expected)
    assert model.bias.grad is None


def test_clip_value_cuts_each_entry() -> None:
    model = with_gradients()
    before = gradients(model)
    ClipValue(max_value=0.4).after_backward(model)
    for own, expected in zip(gradients(model), before, strict=True):
        assert torch.equal(own, expected.clamp(-0.4, 0.4))


def test_unit_norm_gives_each_layer_a_norm_of_one() -> None:
    for scale in (1e-3, 1e3):
        model = with_gradients(scale)
        UnitNorm().after_backward(model)
        assert layer_norms(model) == pytest.approx([1.0, 1.0, 1.0], rel=1e-5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    UnitNorm().after_backward(model)
    assert not any(gradient.any() for gradient in gradients(model))


def test_clip_layer_norm_clips_each_layer_as_torch_does() -> None:
    model, twin = with_gradients(), with_gradients()
    before = layer_norms(model)
    bound = sorted(before)[1]
    ClipLayerNorm(max_norm=bound).after_backward(model)
    for layer in twin.children():
        nn.utils.clip_grad_norm_(layer.parameters(), bound)
    for own, expected in zip(gradients(model), gradients(twin), strict=True):
        torch.testing.assert_close(own, expected)
    assert layer_norms(model) == pytest.approx([min(bound, norm) for norm in before], rel=1e-4)


def test_clip_type_norm_clips_each_type_as_torch_does() -> None:
    model, twin = with_gradients(), with_gradients()
    ClipTypeNorm(max_norm=1.5).after_backward(model)
    first, norm, last = (list(layer.parameters()) for layer in twin.children())
    for group in ([first[0], last[0]], [first[1], last[1]], norm):
        nn.utils.clip_grad_norm_(group, 1.5)
    for own, expected in zip(gradients(model), gradients(twin), strict=True):
        torch.testing.assert_close(own, expected)


def test_max_norm_shortens_the_weights_of_each_unit() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Embedding(5, 4))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    bounds = before[0].flatten(1).norm(dim=1)
    bound = bounds.sort().values[1].item()
    MaxNorm(max_norm=bound).after_step(model)
    after = list(model.parameters())
    torch.testing.assert_close(after[0].flatten(1).norm(dim=1), bounds.clamp_max(bound))
    torch.testing.assert_close(
        nn.functional.cosine_similarity(after[0].flatten(1), before[0].flatten(1)), torch.ones(3)
    )
    for spared in (1, 2, 3):
        assert torch.equal(after[spared], before[spared])
    assert (after[4].norm(dim=1) <= bound + 1e-5).all()


def test_weights_that_are_not_trained_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 2))
    frozen, trained = (cast(nn.Linear, layer).weight for layer in model)
    before = frozen.clone()
    torch.testing.assert_close(L1(weight=1.0).penalty(model), trained.abs().sum())
    MaxNorm(max_norm=0.01).after_step(model)
    assert torch.equal(frozen, before)
    assert L1().penalty(model.requires_grad_(False)) == 0.0


def test_gradients_change_in_one_order_whatever_that_of_the_file() -> None:
    text = '{"clip_norm": {}, "clip_value": {}, "clip_type_norm": {}, "l2": {}, "unit_norm": {}}'
    found = Regularizers.model_validate_json(text).active()
    assert [type(each) for each in found] == [L2, UnitNorm, ClipValue, ClipTypeNorm, ClipNorm]
