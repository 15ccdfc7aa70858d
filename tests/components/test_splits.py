import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError
from raytune_pipe.components.splits import PARTS, split_rows, to_data


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(10, 60), min_size=2, max_size=5),
    validation=st.floats(0.1, 0.4),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 99),
)
def test_every_class_is_split_in_the_same_proportions(
    sizes: list[int], validation: float, test: float, seed: int
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = split_rows(classes, validation, test, seed)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(sum(sizes)))
    for label, size in enumerate(sizes):
        counts = {part: int((classes[rows[part]] == label).sum()) for part in PARTS}
        assert counts["validation"] == round(validation * size)
        assert counts["test"] == round(test * size)


def test_the_seed_alone_fixes_the_split() -> None:
    classes = np.arange(100) % 4
    first, same, other = (split_rows(classes, 0.2, 0.2, seed)["test"] for seed in (1, 1, 2))
    assert first.tolist() == same.tolist() != other.tolist()


def test_too_few_samples_are_told() -> None:
    with pytest.raises(ConfigError, match="the validation part must get a sample, but 3 in all"):
        split_rows(np.arange(3), 0.1, 0.4, 0)


def test_inputs_are_standardized_by_the_training_part_alone() -> None:
    draw = np.random.default_rng(0)
    parts = {part: (draw.normal(5, 3, (50, 4)), draw.normal(size=50)) for part in PARTS}
    parts["test"] = (parts["train"][0] + 3.0, parts["test"][1])
    data = to_data(parts)
    torch.testing.assert_close(data.train.inputs.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(data.train.inputs.std(0, correction=0), torch.ones(4))
    shift = data.test.inputs - data.train.inputs
    expected = torch.from_numpy(3.0 / parts["train"][0].std(0)).float().expand_as(shift)
    torch.testing.assert_close(shift, expected, atol=1e-5, rtol=0)


def test_images_are_standardized_per_channel() -> None:
    images = np.random.default_rng(0).normal(5, 3, (20, 3, 4, 4))
    data = to_data({part: (images, np.arange(20) % 2) for part in PARTS})
    deviations = data.train.inputs.std((0, 2, 3), correction=0)
    torch.testing.assert_close(deviations, torch.ones(3))
    assert (data.task.kind, data.task.input_shape, data.task.outputs) == (
        "classification",
        (3, 4, 4),
        2,
    )


def test_a_constant_feature_becomes_zero() -> None:
    inputs = np.column_stack([np.full(30, 0.1), np.arange(30.0)])
    data = to_data({part: (inputs, np.arange(30.0)) for part in PARTS})
    assert data.train.inputs[:, 0].abs().max() < 1e-6


@pytest.mark.parametrize("targets", [np.arange(6.0) * 1e3, np.arange(12.0).reshape(6, 2)])
def test_regression_targets_stay_as_they_are(targets: np.ndarray) -> None:
    data = to_data({part: (np.ones((6, 1)), targets) for part in PARTS})
    assert data.task.kind == "regression"
    assert data.task.outputs == data.train.targets.shape[1]
    assert np.array_equal(data.train.targets.numpy().reshape(targets.shape), targets)
