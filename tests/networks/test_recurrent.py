import pytest
import torch
from torch import Tensor, nn

from raytune_pipe.networks.recurrent import CELLS, Cell, Recurrent


def network(cell: Cell, layers: int = 2, *, bidirectional: bool = False) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, nn.Identity(), 3, 5, layers, 2, bidirectional=bidirectional)


def final_state(stack: nn.RNNBase, sequences: Tensor) -> Tensor:
    """[directions, n, hidden] of the last layer, as torch has it."""
    state = stack(sequences)[1]
    hidden: Tensor = state[0] if isinstance(state, tuple) else state
    return hidden[-2:] if stack.bidirectional else hidden[-1:]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_layers_equal_torchs_own_stack(cell: Cell, bidirectional: bool) -> None:
    own = network(cell, bidirectional=bidirectional)
    stack = CELLS[cell](3, 5, 2, batch_first=True, bidirectional=bidirectional)
    for weight, other in zip(stack.parameters(), own.layers.parameters(), strict=True):
        weight.data.copy_(other.data)
    sequences = torch.randn(4, 7, 3)
    features = final_state(stack, sequences).movedim(0, 1).flatten(1)
    torch.testing.assert_close(own(sequences), own.head(features))


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_leaves_the_state_alone(cell: Cell) -> None:
    """A layer's outputs before dropout are those of a net without, whatever the rate on them."""
    own = network(cell, layers=1)
    outputs: list[Tensor] = []
    own.layers[0].register_forward_hook(lambda _, __, result: outputs.append(result[0].detach()))
    sequences = torch.randn(4, 7, 3)
    own(sequences)
    own.rate_holders()["dropout"][0].p = 0.9
    own(sequences)
    assert torch.equal(outputs[0], outputs[1])
    assert {layer.dropout for layer in own.layers if isinstance(layer, nn.RNNBase)} == {0.0}


def test_outputs_at_each_position_have_the_classes_first() -> None:
    own = Recurrent("gru", nn.Embedding(9, 3), 3, 5, 1, 9, at_each_position=True)
    tokens = torch.randint(9, (4, 7))
    hidden, _ = own.layers[0](own.inputs(tokens))
    torch.testing.assert_close(own(tokens), own.head(hidden).transpose(1, 2))
