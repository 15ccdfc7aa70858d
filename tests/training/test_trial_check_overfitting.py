import math

import pytest
import torch

from raytune_pipe.components.task import Split, Task
from raytune_pipe.training.data import load_data
from raytune_pipe.training.trial_check_findings import RangeTest
from raytune_pipe.training.trial_check_overfitting import (
    bounds,
    check_overfitting,
    rates_to_try,
    small_sample,
)
from raytune_pipe.training.trial_check_runs import Place, Subject
from raytune_pipe.trial import Trial

CLASSES = Task("classification", (1,), 4)
TOKENS = Task("classification", (3,), 5, tokens=5)
NUMBERS = Task("regression", (1,), 1)


def test_sample_has_as_many_of_each_class() -> None:
    targets = torch.cat([torch.zeros(900, dtype=torch.long), torch.arange(1, 4).repeat(20)])
    train = Split(torch.arange(960.0)[:, None], targets)
    sample = small_sample(train, CLASSES, seed=0)
    assert sample.targets.bincount().tolist() == [16, 16, 16, 16]
    assert sample.inputs[:, 0].long().unique().numel() == 64  # type: ignore[no-untyped-call]  # torch has no type
    assert torch.equal(targets[sample.inputs[:, 0].long()], sample.targets)


def test_sample_of_sequences_has_few_tokens() -> None:
    tokens = torch.randint(0, 5, (50, 128), generator=torch.Generator().manual_seed(0))
    sample = small_sample(Split(tokens, tokens), TOKENS, seed=0)
    assert sample.inputs.shape == (4, 128)


def test_bounds_of_classes_are_their_entropy_and_their_contradictions() -> None:
    inputs = torch.tensor([[1.0], [1.0], [2.0], [3.0]])
    constant, floor = bounds(CLASSES, Split(inputs, torch.tensor([0, 1, 0, 1])))
    assert constant == pytest.approx(math.log(2))
    assert floor == pytest.approx(math.log(2) / 2)  # half of the samples say both


def test_bounds_of_numbers_are_their_variances() -> None:
    inputs = torch.tensor([[1.0], [1.0], [2.0], [3.0]])
    targets = torch.tensor([[0.0], [2.0], [4.0], [4.0]])
    constant, floor = bounds(NUMBERS, Split(inputs, targets))
    assert constant == pytest.approx(targets.var(correction=0).item())
    assert floor == pytest.approx(0.5)


def test_a_token_is_known_by_those_before_it() -> None:
    inputs = torch.tensor([[0, 1, 2], [0, 1, 3]])
    targets = torch.tensor([[1, 2, 4], [1, 3, 4]])
    _, floor = bounds(TOKENS, Split(inputs, targets))
    assert floor == pytest.approx(math.log(2) * 2 / 6)  # after 0, 1 either 2 or 3 follows


def test_bounds_of_several_tasks_add_up() -> None:
    several = Task("several", (1,), 5, parts={"class": CLASSES, "number": NUMBERS})
    inputs = torch.arange(4.0)[:, None]
    classes, numbers = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    constant, floor = bounds(several, Split(inputs, torch.stack([classes, numbers], dim=1)))
    assert constant == pytest.approx(math.log(2) + 1.0)
    assert floor == 0.0


def test_inputs_that_are_all_alike_are_named() -> None:
    trial = Trial.model_validate_json(
        '{"dataset": {"kind": "digits"}, "model": {"kind": "mlp"}, "loss": {"kind":'
        ' "cross_entropy"}, "optimizer": {"kind": "sgd"}}'
    )
    data = load_data(trial.dataset)
    blank = data.train._replace(inputs=torch.zeros_like(data.train.inputs))
    subject = Subject(trial, data, Place()).on(blank)
    finding = check_overfitting(subject, RangeTest((), (), None, None, None))
    assert finding.verdict == "fail"
    assert finding.found == "the inputs of a small sample are all alike"


def test_rates_are_the_trials_own_and_those_of_the_range_test() -> None:
    test = RangeTest((), (), 1e-3, 1e-2, 1e-1)
    assert list(rates_to_try(0.5, test)) == pytest.approx([0.5, 1e-2, math.sqrt(1e-3), 1e-3])
    nowhere = RangeTest((), (), None, None, None)
    assert list(rates_to_try(0.5, nowhere)) == pytest.approx([0.5, 0.05, 5.0])
