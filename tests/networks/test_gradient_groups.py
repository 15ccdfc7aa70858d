import torch
from torch import Tensor, nn

from raytune_pipe.networks.gradient_groups import by_layer, by_type, scale_by_norm


class Net(nn.Module):
    """With one layer of each type, one that serves twice, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.recurrent = nn.GRU(4, 4)
        self.norm = nn.LayerNorm(4)
        self.tied = nn.Linear(4, 5)
        self.tied.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.ones(3))


def with_gradients() -> Net:
    torch.manual_seed(0)
    model = Net()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def names(model: nn.Module, groups: list[list[nn.Parameter]]) -> list[list[str]]:
    known = {parameter: name for name, parameter in model.named_parameters()}
    return [[known[parameter] for parameter in group] for group in groups]


GRU = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


def test_layers_have_their_own_parameters_each_once() -> None:
    model = Net()
    assert names(model, by_layer(model)) == [
        ["scale"],
        ["embedding.weight"],
        [f"recurrent.{name}" for name in GRU],
        ["norm.weight", "norm.bias"],
        ["tied.bias"],
    ]


def test_types_are_weights_biases_norms_and_embeddings() -> None:
    model = Net()
    assert names(model, by_type(model)) == [
        ["norm.weight", "norm.bias"],
        ["embedding.weight"],
        ["scale", "recurrent.bias_ih_l0", "recurrent.bias_hh_l0", "tied.bias"],
        ["recurrent.weight_ih_l0", "recurrent.weight_hh_l0"],
    ]


def test_each_group_is_scaled_by_its_own_norm() -> None:
    for grouping in (by_layer, by_type):
        model = with_gradients()
        before = {p: p.grad.clone() for p in model.parameters() if p.grad is not None}
        scale_by_norm(model, grouping, lambda norms: norms + 1)
        for group in grouping(model):
            norm = torch.cat([before[p].flatten() for p in group]).norm()
            for parameter in group:
                assert parameter.grad is not None
                torch.testing.assert_close(parameter.grad, before[parameter] * (norm + 1))


def test_parameters_without_a_gradient_are_left_out() -> None:
    model = with_gradients()
    for step in range(3):  # other ones at each step
        for number, parameter in enumerate(model.parameters()):
            parameter.grad = torch.ones_like(parameter) if (number + step) % 3 else None
        scale_by_norm(model, by_layer, lambda norms: 1 / norms)
        for group in by_layer(model):
            present = [p.grad.flatten() for p in group if p.grad is not None]
            if present:
                torch.testing.assert_close(torch.cat(present).norm(), torch.tensor(1.0))
    model.zero_grad()
    scale_by_norm(model, by_layer, lambda norms: 1 / norms)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_group_that_is_not_finite_spares_the_others() -> None:
    model = with_gradients()
    assert isinstance(model.scale.grad, Tensor)
    model.scale.grad[0] = torch.inf
    scale_by_norm(model, by_layer, lambda norms: 1 / norms)
    assert isinstance(model.norm.weight.grad, Tensor)
    assert model.norm.weight.grad.isfinite().all()
