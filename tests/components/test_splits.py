import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_pipe.base import ConfigError
from raytune_pipe.components import splits
from raytune_pipe.components.splits import PARTS, limited, split_rows, standardized, to_data


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


def test_a_class_of_two_keeps_one_to_train_on() -> None:
    rows = split_rows(np.array([0] * 20 + [1] * 2), 0.45, 0.45, 0)
    assert (rows["train"] >= 20).sum() == 1


def test_targets_are_standardized_by_the_training_part_where_that_is_asked() -> None:
    draw = np.random.default_rng(0)
    parts = {part: (draw.normal(size=(50, 2)), draw.normal(7, 3, 50)) for part in PARTS}
    data = to_data(parts, standardize_targets=True)
    torch.testing.assert_close(data.train.targets.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    expected = (parts["test"][1] - parts["train"][1].mean()) / parts["train"][1].std()
    torch.testing.assert_close(data.test.targets[:, 0], torch.from_numpy(expected).float())


@pytest.mark.parametrize("shape", [(70, 5), (30, 3, 4, 4)])
def test_large_arrays_are_standardized_in_chunks(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    at_once = standardized({"train": array})["train"]
    monkeypatch.setattr(splits, "CHUNK", 100)
    np.testing.assert_allclose(standardized({"train": array})["train"], at_once, atol=1e-6)


def test_standardizing_takes_the_memory_of_what_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "CHUNK", 2**16)
    array = np.random.default_rng(0).integers(0, 256, (1000, 3, 32, 32), dtype=np.uint8)
    tracemalloc.start()
    given_back = standardized({"train": array})["train"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert given_back.nbytes < peak < 1.5 * given_back.nbytes


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(4, 60), min_size=2, max_size=5), share=st.floats(0.05, 0.95))
def test_a_limited_choice_keeps_the_proportions(sizes: list[int], share: float) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    inputs = np.arange(len(classes), dtype=float)[:, None]
    data = to_data(dict.fromkeys(PARTS, (inputs, classes)))
    count = max(1, round(share * len(classes)))
    chosen = limited(data, count, 0).train.targets
    assert len(chosen) == count
    for label, size in enumerate(sizes):
        assert abs(int((chosen == label).sum()) - count * size / len(classes)) <= 1


def test_one_sample_of_each_class_is_the_smallest_choice() -> None:
    data = to_data({part: (np.ones((60, 1)), np.arange(60) % 6) for part in PARTS})
    assert limited(data, 6, 3).train.targets.sort().values.tolist() == list(range(6))
    assert limited(data, 60, 3) is limited(data, None, 3) is data
