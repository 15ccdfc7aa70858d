import pytest
import torch
from pydantic import ValidationError
from torch import nn

from raytune_pipe.base import ConfigError
from raytune_pipe.components.models import Imported, Mlp, Resnet
from raytune_pipe.components.task import Task

GRAY = Task("classification", (1, 8, 8), 10)
COLOR = Task("classification", (3, 16, 16), 7)
TABLE = Task("regression", (5,), 2)


@pytest.mark.parametrize(
    ("component", "task"),
    [(Mlp(widths=(8,)), TABLE), (Mlp(), GRAY), (Resnet(width=4), GRAY), (Resnet(width=4), COLOR)],
)
def test_output_has_the_shape_of_the_task(component: Mlp | Resnet, task: Task) -> None:
    outputs = component.build(task)(torch.randn(6, *task.input_shape))
    assert outputs.shape == (6, task.outputs)


@pytest.mark.parametrize("component", [Mlp(dropout=0.1), Resnet(width=4, dropout=0.1)])
def test_dropout_is_set_on_the_live_module(component: Mlp | Resnet) -> None:
    module = component.build(GRAY)
    changed = component.model_copy(update={"dropout": 0.4})
    assert changed.rates_in_force(module) == {"dropout": 0.1}
    changed.set_rates(module)
    assert changed.rates_in_force(module) == {"dropout": 0.4}
    assert {child.p for child in module.modules() if isinstance(child, nn.Dropout)} == {0.4}


def test_a_dropout_of_zero_can_be_raised_later() -> None:
    module = Mlp(widths=(1000,), dropout=0.0).build(TABLE)
    Mlp(widths=(1000,), dropout=0.5).set_rates(module)
    inputs = torch.randn(1, 5)
    assert not torch.equal(module(inputs), module(inputs))
    module.eval()
    assert torch.equal(module(inputs), module(inputs))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu"])
def test_every_activation_differs_from_a_linear_network(activation: str) -> None:
    module = Mlp.model_validate({"widths": (16,), "activation": activation}).build(TABLE)
    first, second = torch.randn(1, 5), torch.randn(1, 5)
    curved = module(first) + module(second) - module(first + second) - module(torch.zeros(1, 5))
    assert curved.abs().max() > 1e-3


@pytest.mark.parametrize("depth", [2, 7, 9, 18])
def test_resnet_refuses_a_depth_that_is_not_6n_plus_2(depth: int) -> None:
    with pytest.raises(ValidationError, match=rf"depth must be 6n \+ 2, .* but got {depth}"):
        Resnet(depth=depth)


@pytest.mark.parametrize("shape", [(5,), (2, 8, 8), (8, 8)])
def test_resnet_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="model resnet must have images of 1 or 3 channels"):
        Resnet().build(Task("classification", shape, 10))


def test_imported_builds_the_users_module() -> None:
    component = Imported(target="torch.nn:Linear", args={"in_features": 5, "out_features": 2})
    module = component.build(TABLE)
    assert isinstance(module, nn.Linear)
    assert module.weight.shape == (2, 5)
    component.set_rates(module)
    assert component.rates_in_force(module) == {}


def test_imported_refuses_what_is_no_module() -> None:
    component = Imported(target="collections:OrderedDict", args={})
    with pytest.raises(ConfigError, match=r"must give a torch.nn.Module, but gave a OrderedDict"):
        component.build(TABLE)
