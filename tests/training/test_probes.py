import math

import pytest
import torch
from torch import nn

from raytune_pipe.training.probes import UpdateProbe


def test_measures_the_step_between_backward_and_update() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    model(torch.tensor([[0.6, 0.8]])).sum().backward()  # its gradient is (0.6, 0.8)
    probe = UpdateProbe(model)
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert probe.grad_norm() == pytest.approx(1.0)
    assert probe.update_ratio() == pytest.approx(0.1 * 0.5 / math.sqrt(18))


def test_frozen_weights_do_not_count() -> None:
    model = nn.Linear(2, 1)
    model.weight.requires_grad_(False).fill_(100.0)
    nn.init.constant_(model.bias, 2.0)
    model(torch.ones(1, 2)).sum().backward()
    probe = UpdateProbe(model)
    torch.optim.SGD([model.bias], lr=0.5).step()
    assert probe.grad_norm() == pytest.approx(1.0)
    assert probe.update_ratio() == pytest.approx(0.25)


def test_a_step_from_zero_weights_has_no_ratio() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    model(torch.ones(1, 2)).sum().backward()
    assert not math.isfinite(UpdateProbe(model).update_ratio())
