import math

import pytest
import torch
from torch import nn

from raytune_pipe.networks.transformer import Layer, SinusoidalPositions, Transformer

NAMES = {
    "attention": "self_attn",
    "feed_forward.0": "linear1",
    "feed_forward.2": "linear2",
}
"""Of our layer and of torch's."""


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_equals_torchs_own(causal: bool, training: bool) -> None:
    torch.manual_seed(0)
    own = Layer(8, 2, 12, nn.GELU)
    torchs = nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    state = own.state_dict()
    for ours, theirs in NAMES.items():
        state = {name.replace(ours, theirs): values for name, values in state.items()}
    torchs.load_state_dict(state)
    hidden = torch.randn(3, 5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    expected = torchs.train(training)(hidden, mask, is_causal=causal)
    torch.testing.assert_close(own.train(training)(hidden, mask), expected)


@pytest.mark.parametrize("width", [6, 7])
def test_positions_are_the_papers_waves(width: int) -> None:
    table = SinusoidalPositions(11, width).get_buffer("table")
    assert table.shape == (11, width)
    for position in (0, 1, 10):
        for index in range(width):
            angle = position / 10_000 ** (2 * (index // 2) / width)
            wave = math.cos(angle) if index % 2 else math.sin(angle)
            assert table[position, index].item() == pytest.approx(wave, abs=1e-5)


def test_shorter_sequences_take_the_first_positions() -> None:
    layers = [Layer(4, 1, 8, nn.ReLU)]
    net = Transformer(nn.Embedding(5, 4), 6, layers, 4, 5, causal=True)
    tokens = torch.randint(5, (2, 6))
    torch.testing.assert_close(net(tokens[:, :4]), net(tokens)[:, :, :4])


def test_without_positions_the_order_of_numbers_would_not_count() -> None:
    torch.manual_seed(0)
    net = Transformer(nn.Linear(2, 4), 6, [Layer(4, 1, 8, nn.ReLU)], 4, 3)
    sequences = torch.randn(2, 6, 2)
    assert (net(sequences) - net(sequences.flip(1))).abs().max() > 1e-4
    nn.init.zeros_(net.get_parameter("positions.weight"))
    torch.testing.assert_close(net(sequences), net(sequences.flip(1)))
