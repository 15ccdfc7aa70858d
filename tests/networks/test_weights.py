import math

import pytest
import torch
from torch import nn

from raytune_pipe.components.initializers import HeNormal, Orthogonal, XavierUniform
from raytune_pipe.components.models_images import Resnet
from raytune_pipe.components.task import Task
from raytune_pipe.networks.weights import weights, zero_biases

RECURRENT = [
    (nn.RNN, 1),
    (nn.LSTM, 4),
    (nn.GRU, 3),
    (nn.RNNCell, 1),
    (nn.LSTMCell, 4),
    (nn.GRUCell, 3),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("cell", "gates"), RECURRENT)
def test_recurrent_weights_come_gate_by_gate_with_gain_one(
    cell: type[nn.Module], gates: int
) -> None:
    found = list(weights(nn.Sequential(cell(5, 7), nn.Tanh())))
    assert [tuple(weight.values.shape) for weight in found] == [(7, 5)] * gates + [(7, 7)] * gates
    assert [(w.fan_in, w.fan_out) for w in found] == [(5, 7)] * gates + [(7, 7)] * gates
    assert {weight.gain for weight in found} == {1.0}


@pytest.mark.parametrize(("cell", "gates"), RECURRENT)
def test_every_gate_is_orthogonal_in_itself(cell: type[nn.Module], gates: int) -> None:
    model = cell(4, 6)
    Orthogonal().apply(model, generator())
    name = next(name for name, _ in model.named_parameters() if name.startswith("weight_hh"))
    for gate in model.get_parameter(name).detach().chunk(gates):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0.0)


def test_both_directions_and_a_projection_are_drawn() -> None:
    model = nn.LSTM(5, 7, bidirectional=True, proj_size=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    XavierUniform().apply(model, generator())
    assert not any(parameter.isnan().any() for parameter in model.parameters())
    projection = next(w for w in weights(model) if w.values.shape == (3, 7))
    assert (projection.fan_in, projection.fan_out) == (7, 3)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.LSTMCell])
def test_forget_gates_start_with_a_bias_of_one_all_else_with_none(cell: type[nn.Module]) -> None:
    model = cell(2, 3)
    zero_biases(model)
    biases = [parameter.detach() for name, parameter in model.named_parameters() if "bias" in name]
    assert torch.stack(biases).sum(0).tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


def test_attention_is_three_matrices_and_an_output_of_gain_one() -> None:
    found = list(weights(nn.Sequential(nn.MultiheadAttention(6, 2), nn.ReLU())))
    assert [(w.fan_in, w.fan_out, w.gain) for w in found] == [(6, 6, 1.0)] * 4


def test_an_embedding_gives_vectors_of_unit_size_under_he() -> None:
    model = nn.Sequential(nn.Embedding(50, 40), nn.Linear(40, 2), nn.ReLU())
    HeNormal().apply(model, generator())
    assert model.get_parameter("0.weight").std().item() == pytest.approx(1.0, rel=0.05)


def test_padding_stays_a_vector_of_zeros() -> None:
    model = nn.Embedding(5, 4, padding_idx=2)
    HeNormal().apply(model, generator())
    assert model.weight.any(dim=1).tolist() == [True, True, False, True, True]


def test_an_activation_that_serves_several_layers_counts_for_each() -> None:
    shared = nn.Tanh()
    model = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared, nn.Linear(2, 2))
    assert [weight.gain for weight in weights(model)] == [5 / 3, 5 / 3, None]


@pytest.mark.parametrize("block", ["basic", "preactivation"])
def test_every_convolution_of_a_resnet_finds_its_activation(block: str) -> None:
    component = Resnet.model_validate({"block": block, "activation": "tanh", "width": 2})
    gains = [weight.gain for weight in weights(component.build(Task("regression", (1, 4, 4), 1)))]
    assert gains == [5 / 3] * 7 + [None]
