import json
import random
from collections import Counter
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from raytune_pipe.base import ConfigError
from raytune_pipe.components.augmentations import (
    Augmentation,
    Augmentations,
    Cutmix,
    Mixup,
    Noise,
)
from raytune_pipe.components.augmentations_images import (
    Crop,
    Erasing,
    HorizontalFlip,
    Rotation,
    Shift,
)
from raytune_pipe.components.draws import Draws
from raytune_pipe.components.task import Batch, Task

IMAGES = Task("classification", (2, 6, 5), 3)
EACH: list[Augmentation] = [
    Crop(padding=2),
    Crop(padding=2, fill="reflect"),
    HorizontalFlip(),
    Shift(share=0.4),
    Rotation(degrees=45),
    Noise(),
    Erasing(),
    Mixup(alpha=1.0),
    Cutmix(),
]
OFF: list[Augmentation] = [
    Crop(padding=0),
    HorizontalFlip(probability=0.0),
    Shift(share=0.0),
    Rotation(degrees=0),
    Noise(std=0.0),
    Erasing(probability=0.0),
    Erasing(probability=1.0, area=0.0),
]


def draws(seed: int = 1) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), random.Random(seed))


def batch(samples: int = 64, dtype: torch.dtype = torch.float32) -> Batch:
    torch.manual_seed(0)
    return Batch(torch.randn(samples, 2, 6, 5, dtype=dtype) + 3, torch.arange(samples))


def label(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("augmentation", EACH, ids=label)
def test_it_follows_from_its_draws_alone(augmentation: Augmentation) -> None:
    before = batch()
    state = torch.get_rng_state()
    first, again, other = (augmentation.apply(before, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert torch.equal(before.inputs, batch().inputs), "data is shared by all trials"
    assert first.inputs.shape == before.inputs.shape
    assert torch.equal(first.targets, before.targets)


@pytest.mark.parametrize("augmentation", EACH, ids=label)
def test_bfloat16_stays_bfloat16(augmentation: Augmentation) -> None:
    found = augmentation.apply(batch(dtype=torch.bfloat16), draws()).inputs
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()


@pytest.mark.parametrize("augmentation", OFF, ids=label)
def test_no_strength_is_no_change(augmentation: Augmentation) -> None:
    found = augmentation.apply(batch(), draws()).inputs
    torch.testing.assert_close(found, batch().inputs, atol=1e-5, rtol=1e-5)


def changed(before: Tensor, after: Tensor) -> Tensor:
    """How many pixels of each image are other ones."""
    return (before != after).any(1).flatten(1).sum(1)


def test_a_flip_of_all_is_torch_flip() -> None:
    found = HorizontalFlip(probability=1.0).apply(batch(), draws()).inputs
    assert torch.equal(found, batch().inputs.flip(-1))


def test_a_share_of_the_images_is_flipped() -> None:
    before = batch(2000).inputs
    after = HorizontalFlip(probability=0.3).apply(batch(2000), draws()).inputs
    assert (changed(before, after) > 0).float().mean().item() == pytest.approx(0.3, abs=0.04)


def test_crops_are_at_every_place() -> None:
    before = Batch(torch.arange(30.0).view(1, 1, 6, 5).expand(900, 1, 6, 5) + 1, torch.arange(900))
    after = Crop(padding=1).apply(before, draws()).inputs
    corners = Counter(after[:, 0, 0, 0].tolist())
    # five of the nine begin in the padding
    assert corners == pytest.approx({0.0: 500, 1.0: 100, 2.0: 100, 6.0: 100, 7.0: 100}, abs=50)


def test_shifts_and_angles_are_up_to_their_bound() -> None:
    middle = torch.zeros(500, 2, 6, 5)
    middle[:, :, 2:4, 2] = 1.0
    shifted = Shift(share=0.2).apply(Batch(middle, torch.arange(500)), draws()).inputs
    columns = (shifted * torch.arange(5.0)).sum((1, 2, 3)) / shifted.sum((1, 2, 3))
    assert (columns - 2).abs().max() <= 1.0001
    assert columns.std().item() == pytest.approx(1 / 3**0.5, rel=0.1)
    assert Rotation(degrees=180).apply(batch(), draws()).inputs.isfinite().all()


@pytest.mark.parametrize("area", [0.1, 0.5, 1.0])
def test_the_erased_area_is_as_drawn(area: float) -> None:
    ones = Batch(torch.ones(4000, 1, 32, 32), torch.arange(4000))
    after = Erasing(probability=1.0, area=area).apply(ones, draws()).inputs
    _, drawn, aspect, *_ = torch.rand(5, 4000, generator=torch.Generator().manual_seed(1))
    erased = (after == 0).flatten(1).sum(1)
    pixels = drawn * area * 1024
    root = (1 / 0.3) ** (aspect - 0.5)
    height = (pixels.sqrt() * root).round().clamp(max=32)
    width = (pixels.sqrt() / root).round().clamp(max=32)
    assert torch.equal(erased, (height * width).long())
    boxes = (after[:, 0] == 0).any(2).sum(1) * (after[:, 0] == 0).any(1).sum(1)
    assert torch.equal(boxes, erased), "a rectangle, whole"
    if area <= 0.5:
        assert erased.float().mean().item() / 1024 == pytest.approx(area / 2, rel=0.1)


def test_a_share_of_the_images_is_erased() -> None:
    after = Erasing(probability=0.3).apply(batch(2000), draws()).inputs
    share = (changed(batch(2000).inputs, after) > 0).float().mean().item()
    assert 0.2 < share <= 0.32  # the smallest areas round to none


def test_the_loss_of_a_pasted_sample_has_the_share_of_its_area() -> None:
    shares = []
    for seed in range(60):
        before = batch(16)
        after = Cutmix().apply(before, draws(seed))
        assert after.partners is not None
        pasted = after.inputs != before.inputs
        own = after.partners == after.targets
        assert not pasted[own].any()
        counts = pasted[~own][:, 0].flatten(1).sum(1)
        assert (counts == counts[0]).all()
        assert after.own_share == pytest.approx(1 - counts[0].item() / 30)
        partners = before.inputs[after.partners]
        assert torch.equal(torch.where(pasted, partners, after.inputs), after.inputs)
        assert torch.equal(after.inputs[pasted], partners[pasted])
        shares.append(after.own_share)
    assert min(shares) < 0.3
    assert max(shares) == 1.0  # a rectangle of no pixels


@pytest.mark.parametrize("kind", ["crop", "horizontal_flip", "shift", "rotation", "erasing"])
def test_a_table_has_no_images(kind: str) -> None:
    augmentations = Augmentations.model_validate_json(json.dumps({kind: {}}))
    augmentations.require_fit(IMAGES)
    with pytest.raises(ConfigError, match=rf"augmentations\.{kind}: must have images"):
        augmentations.require_fit(Task("classification", (30,), 2))


def test_padding_is_below_the_size() -> None:
    Augmentations(crop=Crop(padding=4)).require_fit(IMAGES)
    with pytest.raises(ConfigError, match=r"augmentations\.crop\.padding: must be below the 5"):
        Augmentations(crop=Crop(padding=5)).require_fit(IMAGES)


def test_samples_are_mixed_once() -> None:
    both: dict[str, Any] = {"mixup": {}, "cutmix": {}}
    with pytest.raises(ValidationError, match="must have mixup or cutmix, but got both"):
        Augmentations.model_validate_json(json.dumps(both))
    assert [Augmentations.model_validate_json(json.dumps({k: {}})).mixing for k in both] == [*both]


def test_they_apply_in_one_order() -> None:
    plain: dict[str, Any] = {"cutmix": {}, "erasing": {}, "crop": {}, "noise": {}}
    found = Augmentations.model_validate_json(json.dumps(plain)).active()
    assert [type(each) for each in found] == [Crop, Noise, Erasing, Cutmix]
