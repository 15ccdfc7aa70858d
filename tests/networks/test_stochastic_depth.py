import torch

from raytune_pipe.networks.stochastic_depth import StochasticDepth


def test_a_rate_of_zero_is_none_and_draws_nothing() -> None:
    branch = torch.randn(4, 3)
    torch.manual_seed(0)
    assert StochasticDepth(0.0, 1.0)(branch) is branch
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


def test_samples_are_dropped_whole_and_the_mean_stays() -> None:
    branch = torch.ones(10_000, 2, 2)
    outputs = StochasticDepth(0.6, 0.5)(branch)[:, 0, 0]
    assert set(outputs.unique().tolist()) == {0.0, outputs.max().item()}
    torch.testing.assert_close(outputs.max(), torch.tensor(1 / 0.7))
    torch.testing.assert_close(outputs.mean(), torch.tensor(1.0), rtol=0.03, atol=0.0)


def test_evaluation_takes_every_branch_as_it_is() -> None:
    branch = torch.randn(4, 3)
    assert StochasticDepth(0.9, 1.0).eval()(branch) is branch
