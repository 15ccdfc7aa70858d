import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from raytune_pipe.base import members
from raytune_pipe.components.initializers import HeNormal, Initializer, Normal, XavierNormal


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16),
        nn.Flatten(),
        nn.Linear(300, 200),
        nn.LayerNorm(200),
    )


def initialized(component: Initializer, seed: int) -> dict[str, Tensor]:
    model = network()
    component.apply(model, torch.Generator().manual_seed(seed))
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("component", "deviation"),
    [
        (HeNormal(), lambda fan_in, _: math.sqrt(2 / fan_in)),
        (XavierNormal(), lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        (Normal(std=0.3), lambda *_: 0.3),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_deviation_of_the_weights(
    component: Initializer, deviation: Callable[[int, int], float]
) -> None:
    parameters = initialized(component, 0)
    dense, convolution = parameters["3.weight"], parameters["0.weight"]
    assert dense.std().item() == pytest.approx(deviation(300, 200), rel=0.02)
    assert convolution.std().item() == pytest.approx(deviation(8 * 9, 16 * 9), rel=0.1)


@pytest.mark.parametrize("member", members(Initializer), ids=lambda member: member.__name__)
def test_biases_are_zero_and_norms_untouched(member: type[Initializer]) -> None:
    parameters = initialized(member(), 0)
    assert all(not parameters[name].any() for name in ("0.bias", "1.bias", "3.bias", "4.bias"))
    assert all((parameters[name] == 1).all() for name in ("1.weight", "4.weight"))


@pytest.mark.parametrize("member", members(Initializer), ids=lambda member: member.__name__)
def test_weights_follow_from_the_generator_alone(member: type[Initializer]) -> None:
    torch.manual_seed(1)
    first = initialized(member(), 5)
    torch.manual_seed(2)
    second, other = initialized(member(), 5), initialized(member(), 6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["3.weight"], other["3.weight"])
