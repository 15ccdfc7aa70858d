import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import init

from raytune_pipe.base import members
from raytune_pipe.components.activations import Activation
from raytune_pipe.components.initializers import (
    AsBuilt,
    HeNormal,
    HeUniform,
    Initializer,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    XavierNormal,
    XavierUniform,
    Zeros,
)
from raytune_pipe.components.models import Mlp
from raytune_pipe.components.models_images import Cnn, Resnet
from raytune_pipe.components.task import Task

DRAWN = [member for member in members(Initializer) if member not in (Zeros, AsBuilt)]
each_drawn = pytest.mark.parametrize("member", DRAWN, ids=lambda member: member.__name__)
IMAGES = Task("classification", (1, 8, 8), 10)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16),
        nn.Flatten(),
        nn.Linear(300, 200),
        nn.LayerNorm(200),
        nn.PReLU(),
    )


def initialized(
    component: Initializer, seed: int, model: nn.Module | None = None
) -> dict[str, Tensor]:
    model = model or network()
    component.apply(model, torch.Generator().manual_seed(seed))
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("component", "deviation"),
    [
        (HeNormal(), lambda fan_in, _: math.sqrt(2 / fan_in)),
        (HeUniform(), lambda fan_in, _: math.sqrt(2 / fan_in)),
        (XavierNormal(), lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        (XavierUniform(), lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        (Normal(std=0.3), lambda *_: 0.3),
        (TruncatedNormal(std=0.3), lambda *_: 0.3 * 0.8796),
        (Uniform(bound=0.3), lambda *_: 0.3 / math.sqrt(3)),
        (Orthogonal(), lambda fan_in, _: 1 / math.sqrt(fan_in)),
        (Zeros(), lambda *_: 0.0),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_deviation_of_the_weights(
    component: Initializer, deviation: Callable[[int, int], float]
) -> None:
    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(300, 200))
    parameters = initialized(component, 0, model)
    dense, convolution = parameters["2.weight"], parameters["0.weight"]
    assert dense.std().item() == pytest.approx(deviation(300, 200), rel=0.02)
    assert convolution.std().item() == pytest.approx(deviation(8 * 9, 16 * 9), rel=0.1)


@pytest.mark.parametrize(
    ("component", "torchs"),
    [
        (HeNormal(), lambda w, g: init.kaiming_normal_(w, nonlinearity="relu", generator=g)),
        (HeUniform(), lambda w, g: init.kaiming_uniform_(w, nonlinearity="relu", generator=g)),
        (Normal(std=0.2), lambda w, g: init.normal_(w, std=0.2, generator=g)),
        (Uniform(bound=0.2), lambda w, g: init.uniform_(w, -0.2, 0.2, generator=g)),
        (
            TruncatedNormal(std=0.2),
            lambda w, g: init.trunc_normal_(w, std=0.2, a=-0.4, b=0.4, generator=g),
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
@pytest.mark.parametrize("model", [Mlp(), Resnet()], ids=["mlp", "resnet"])
def test_a_relu_net_is_drawn_weight_by_weight_as_torch_does_to_the_bit(
    component: Initializer,
    torchs: Callable[[Tensor, torch.Generator], Tensor],
    model: Mlp | Resnet,
) -> None:
    expected, generator = model.build(IMAGES), torch.Generator().manual_seed(7)
    for weight in expected.parameters():
        if weight.ndim >= 2:
            torchs(weight, generator)
    own = initialized(component, 7, model.build(IMAGES))
    for name, weight in expected.named_parameters():
        assert weight.ndim < 2 or torch.equal(own[name], weight), name


@pytest.mark.parametrize(
    ("activation", "gain"),
    [
        ("relu", init.calculate_gain("relu")),
        ("leaky_relu", init.calculate_gain("leaky_relu", 0.01)),
        ("prelu", init.calculate_gain("leaky_relu", 0.25)),
        ("elu", init.calculate_gain("relu")),
        ("gelu", init.calculate_gain("relu")),
        ("silu", init.calculate_gain("relu")),
        ("tanh", init.calculate_gain("tanh")),
        ("sigmoid", init.calculate_gain("sigmoid")),
        ("softsign", 1.0),
    ],
)
def test_the_gain_is_that_of_the_activation_that_follows(
    activation: Activation, gain: float
) -> None:
    model = Mlp(widths=(8, 8), norm="layer", activation=activation)
    for component, of_head in ((XavierUniform(), 1.0), (HeUniform(), math.sqrt(2))):
        own, generator = initialized(component, 3, model.build(IMAGES)), torch.Generator()
        generator.manual_seed(3)
        for name, weight in own.items():
            if weight.ndim >= 2:
                inputs, outputs = weight.shape[1], weight.shape[0]
                fan = (inputs + outputs) / 2 if component.kind == "xavier_uniform" else inputs
                bound = (of_head if name.startswith("head") else gain) * math.sqrt(3 / fan)
                expected = torch.empty_like(weight).uniform_(-bound, bound, generator=generator)
                torch.testing.assert_close(weight, expected)


@each_drawn
def test_biases_are_zero_norms_and_slopes_untouched(member: type[Initializer]) -> None:
    parameters = initialized(member(), 0)
    assert all(not parameters[name].any() for name in ("0.bias", "1.bias", "3.bias", "4.bias"))
    assert all((parameters[name] == 1).all() for name in ("1.weight", "4.weight"))
    assert parameters["5.weight"].item() == 0.25


@each_drawn
def test_weights_follow_from_the_generator_alone(member: type[Initializer]) -> None:
    torch.manual_seed(1)
    first = initialized(member(), 5)
    torch.manual_seed(2)
    second, other = initialized(member(), 5), initialized(member(), 6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["3.weight"], other["3.weight"])


@each_drawn
@pytest.mark.parametrize("model", [Cnn(filters=(4, 8)), Resnet(width=4)], ids=["cnn", "resnet"])
def test_kernels_are_drawn_whatever_their_memory_layout(
    member: type[Initializer], model: Cnn | Resnet
) -> None:
    parameters = initialized(member(), 5, model.build(IMAGES))
    kernels = [weight.flatten(1) for weight in parameters.values() if weight.ndim == 4]
    assert all(kernel.any() for kernel in kernels)
    if member is Orthogonal:  # times the gain of relu, sqrt(2)
        torch.testing.assert_close(kernels[-1] @ kernels[-1].T, 2 * torch.eye(len(kernels[-1])))


def test_zeros_leave_no_weight() -> None:
    parameters = initialized(Zeros(), 0, nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(3, 2)))
    assert not any(parameter.any() for parameter in parameters.values())


def test_truncated_draws_stay_within_two_deviations() -> None:
    weight = initialized(TruncatedNormal(std=0.1), 0)["3.weight"]
    assert 0.19 < weight.abs().max() <= 0.2


def test_as_built_changes_nothing() -> None:
    model = network()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    AsBuilt().apply(model, torch.Generator().manual_seed(1))
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
