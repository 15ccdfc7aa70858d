import json
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from raytune_pipe.base import Component, ConfigError, Value, list_text
from raytune_pipe.components.activations import Activation
from raytune_pipe.components.models import Imported, Mlp, Model
from raytune_pipe.components.models_images import Cnn, Resnet
from raytune_pipe.components.models_sequences import Recurrent, Transformer
from raytune_pipe.components.task import Task

GRAY = Task("classification", (1, 8, 8), 10)
COLOR = Task("classification", (3, 16, 16), 7)
SEVERAL = Task(
    "several",
    (2, 9, 7),
    5,
    parts={"a": Task("classification", (2, 9, 7), 3), "b": Task("regression", (2, 9, 7), 2)},
)
TABLE = Task("regression", (5,), 2)
TEXT = Task("classification", (6,), 11, tokens=11)
SEQUENCE = Task("regression", (6, 3), 2)

FITTING: list[tuple[Model, Task]] = [
    (Mlp(widths=(8,)), TABLE),
    (Mlp(norm="batch"), GRAY),
    (Mlp(norm="layer"), SEVERAL),
    (Cnn(filters=(4, 6)), GRAY),
    (Cnn(filters=(4,) * 6, norm="group", pooling="average"), COLOR),
    (Cnn(filters=(4, 6), kernel_size=("1x7", "7x1"), norm="none", pooling="none"), SEVERAL),
    (Resnet(width=4), GRAY),
    (Resnet(width=4, block="preactivation", norm="group"), COLOR),
    (Resnet(width=4, norm="none"), COLOR),
    (Recurrent(cell="lstm", hidden_size=8, embedding_size=4), TEXT),
    (Recurrent(cell="gru", hidden_size=8, bidirectional=True), SEQUENCE),
    (Recurrent(cell="rnn", hidden_size=8, layers=1), SEQUENCE),
    (Transformer(width=8, heads=2), TEXT),
    (Transformer(width=6, heads=3, positions="sinusoidal", activation="prelu"), SEQUENCE),
]
RATES: list[tuple[Model, Task, dict[str, Any]]] = [
    (Mlp(widths=(4, 4)), GRAY, {"input_dropout": 0.1, "dropout": 0.4}),
    (Mlp(widths=(4, 4)), GRAY, {"input_dropout": 0.0, "dropout": (0.25, 0)}),
    (Cnn(filters=(4, 4)), GRAY, {"spatial_dropout": 0.3, "dropout": 0.5}),
    (Cnn(filters=(4, 4)), GRAY, {"spatial_dropout": (0, 0.3), "dropout": 0.5}),
    (Resnet(width=4), GRAY, {"dropout": 0.5, "stochastic_depth": 0.2}),
    (Recurrent(hidden_size=8), TEXT, {"input_dropout": 0.1, "dropout": 0.4}),
    (Recurrent(hidden_size=8), SEQUENCE, {"input_dropout": 0.1, "dropout": (0, 0.4)}),
    (Transformer(width=8), TEXT, {"input_dropout": 0.1, "dropout": (0.3, 0.4)}),
]


def label(value: object) -> str:
    return value.kind if isinstance(value, Component) and hasattr(value, "kind") else ""


def inputs_of(task: Task, batch: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if task.tokens is not None:
        return torch.randint(task.tokens, (batch, *task.input_shape), generator=generator)
    return torch.randn(batch, *task.input_shape, generator=generator)


def outputs_shape(task: Task, batch: int = 6) -> tuple[int, ...]:
    """As the task's loss takes them: classes in dimension 1."""
    return (batch, task.tokens, *task.input_shape) if task.tokens else (batch, task.outputs)


@pytest.mark.parametrize(("component", "task"), FITTING, ids=label)
def test_output_has_the_shape_of_the_task(component: Model, task: Task) -> None:
    outputs = component.build(task)(inputs_of(task))
    assert tuple(outputs.shape) == outputs_shape(task)


@pytest.mark.parametrize(("component", "task"), FITTING, ids=label)
def test_gradients_reach_every_parameter(component: Model, task: Task) -> None:
    module = component.build(task)
    outputs = module(inputs_of(task))
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    (outputs * weights).sum().backward()
    without = [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@pytest.mark.parametrize(("component", "task"), FITTING, ids=label)
def test_bfloat16_autocast_trains_and_evaluates(component: Model, task: Task) -> None:
    module = component.build(task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = module(inputs_of(task))
        outputs.float().square().mean().backward()
        assert torch.isfinite(module.eval()(inputs_of(task)).float()).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize(("component", "task"), FITTING, ids=label)
def test_the_output_layer_is_the_head(component: Model, task: Task) -> None:
    module = component.build(task)
    features: list[Tensor] = []
    head = module.get_submodule("head")
    head.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    module.eval()
    outputs = module(inputs_of(task))
    expected = head(features[0])
    torch.testing.assert_close(outputs, expected.movedim(-1, 1) if task.tokens else expected)


@pytest.mark.parametrize(("component", "task"), FITTING, ids=label)
def test_a_checkpoint_gives_the_same_model(component: Model, task: Task) -> None:
    first, second = component.build(task), component.build(task)
    first(inputs_of(task))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(inputs_of(task)), second.eval()(inputs_of(task)))


@pytest.mark.parametrize(("component", "task", "changed"), RATES, ids=label)
def test_rates_are_set_on_the_live_module(
    component: Model, task: Task, changed: dict[str, Any]
) -> None:
    module = component.build(task)
    assert set(component.rates_in_force(module).values()) == {0.0}
    mutated = component.model_copy(update=changed)
    mutated.set_rates(module)
    expected = {name: text(value) for name, value in changed.items()}
    assert mutated.rates_in_force(module) == expected
    assert type(component).model_validate({**component.model_dump(), **changed}) == mutated
    assert mutated.rates_in_force(mutated.build(task)) == expected


def text(rates: Any) -> Value:
    """A list as the plan names it."""
    return list_text(rates) if isinstance(rates, tuple) else float(rates)


@pytest.mark.parametrize(("component", "task", "changed"), RATES, ids=label)
def test_every_rate_drops_in_training_only(
    component: Model, task: Task, changed: dict[str, Any]
) -> None:
    module = component.build(task)
    initialize(module)
    for name, rate in changed.items():
        if rate == 0.0:
            continue
        component.model_copy(update={name: rate}).set_rates(module)
        samples = inputs_of(task, 32)
        module.train()
        assert not torch.equal(module(samples), module(samples)), name
        module.eval()
        assert torch.equal(module(samples), module(samples)), name


def initialize(module: nn.Module) -> None:
    """Weights of a fair size, norms as they are."""
    for weight in module.parameters():
        if weight.ndim >= 2:
            nn.init.kaiming_normal_(weight, generator=torch.Generator().manual_seed(2))


def test_a_rate_of_one_layer_drops_there_alone() -> None:
    module = Mlp(widths=(50, 50), dropout=(0, 0.5)).build(TABLE)
    rates = [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]
    assert rates == [0.0, 0, 0.5]  # inputs, first layer, second layer


@pytest.mark.parametrize(
    ("component", "fields", "message"),
    [
        (Mlp, {"dropout": [0.1]}, "dropout must be one rate, or a list of one for each of the 2"),
        (Cnn, {"spatial_dropout": [0, 0, 0]}, "one for each of the 2 layers, but got 3"),
        (Cnn, {"kernel_size": [3]}, "kernel_size must be one size, or a list of one for each of"),
        (Recurrent, {"dropout": [0, 0, 0]}, "one for each of the 2 layers, but got 3"),
        (Transformer, {"dropout": [0]}, "one for each of the 2 layers, but got 1"),
        (Transformer, {"heads": 3}, "width must be a multiple of heads, but got width 64 and hea"),
        (Cnn, {"kernel_size": 4}, "Input should be 1, 3, 5, 7"),
        (Cnn, {"kernel_size": "3x3"}, "Input should be 1, 3, 5, 7"),
    ],
)
def test_lists_must_fit_the_layers(
    component: type[Component], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        component.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("component", [Mlp(widths=(16,)), Cnn(filters=(4,)), Resnet(width=2)])
def test_every_activation_differs_from_a_linear_network(component: Model, activation: str) -> None:
    kind = type(component)
    module = kind.model_validate({**component.model_dump(), "activation": activation}).build(COLOR)
    initialize(module.eval().double())
    first, second = torch.split(inputs_of(COLOR, 2).double(), 1)
    curved = module(first) + module(second) - module(first + second) - module(0 * first)
    assert curved.abs().max() > 1e-8


@pytest.mark.parametrize(
    "component",
    [
        Recurrent(cell="rnn", hidden_size=8),
        Recurrent(cell="lstm", hidden_size=8),
        Recurrent(cell="gru", hidden_size=8),
        Transformer(width=8),
        Transformer(width=8, positions="sinusoidal"),
    ],
    ids=label,
)
@pytest.mark.parametrize("training", [True, False])
def test_next_token_models_do_not_look_ahead(component: Model, training: bool) -> None:
    module = component.build(TEXT).train(training)
    given = inputs_of(TEXT, 2)
    changed = given.clone()
    changed[:, 3] = (given[:, 3] + 1) % 11
    with torch.no_grad():
        before, after = module(given), module(changed)
    torch.testing.assert_close(after[:, :, :3], before[:, :, :3])
    assert ((after - before).abs().amax(dim=1)[:, 3:] > 1e-5).all()


@pytest.mark.parametrize("depth", [2, 7, 9, 18])
def test_resnet_refuses_a_depth_that_is_not_6n_plus_2(depth: int) -> None:
    with pytest.raises(ValidationError, match=rf"depth must be 6n \+ 2, .* but got {depth}"):
        Resnet(depth=depth)


@pytest.mark.parametrize("shape", [(5,), (2, 8, 8), (8, 8)])
def test_resnet_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="model resnet must have images of 1 or 3 channels"):
        Resnet().build(Task("classification", shape, 10))


@pytest.mark.parametrize(
    ("component", "task", "message"),
    [
        (Cnn(), TABLE, r"model cnn must have images, .* the shape \[5\]"),
        (Cnn(), TEXT, "model cnn must have images, .* choose model recurrent or transformer"),
        (Resnet(), TEXT, "model resnet must have .* choose model recurrent or transformer"),
        (Mlp(), TEXT, "model mlp must have numbers as inputs, but .* token indices"),
        (Recurrent(), TABLE, r"model recurrent must have sequences, .* the shape \[5\]"),
        (Transformer(), GRAY, r"model transformer must have sequences, .* \[1, 8, 8\]"),
        (Recurrent(bidirectional=True), TEXT, "model.bidirectional must be false where the next"),
    ],
    ids=label,
)
def test_a_task_that_does_not_fit_is_refused(component: Model, task: Task, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        component.build(task)


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
