import pytest
import torch
from torch import Tensor

from raytune_pipe.networks.images import cropped, flipped, rotated, shifted, within


def images(height: int = 6, width: int = 5) -> Tensor:
    return torch.randn(4, 2, height, width, generator=torch.Generator().manual_seed(0))


def by_hand(image: Tensor, down: int, right: int) -> Tensor:
    """One image [c, h, w] rolled, with zeros where it comes in again."""
    rolled = image.roll((down, right), (1, 2))
    height, width = image.shape[1:]
    rows, columns = torch.arange(height), torch.arange(width)
    rows_left = (rows >= down) & (rows < height + down)
    columns_left = (columns >= right) & (columns < width + right)
    return rolled * (rows_left[:, None] & columns_left)


DOWN, RIGHT = (0, 2, -1, 1), (0, -2, 1, 0)


def test_a_crop_is_a_shift_by_whole_pixels() -> None:
    found = cropped(images(), 2 - torch.tensor(DOWN), 2 - torch.tensor(RIGHT), 2, "constant")
    expected = [by_hand(*each) for each in zip(images(), DOWN, RIGHT, strict=True)]
    assert torch.equal(found, torch.stack(expected))


def test_a_crop_of_reflected_images_has_the_images_own_pixels() -> None:
    found = cropped(images(), torch.tensor([0, 1, 2, 4]), torch.tensor([2, 0, 2, 3]), 2, "reflect")
    assert torch.equal(found[0, :, 0], images()[0, :, 2])  # two rows above the first, mirrored
    assert torch.equal(found[2], images()[2])
    assert torch.equal(found[3, :, -1, :-1], images()[3, :, 3, 1:])


def test_a_shift_by_whole_pixels_is_a_roll_with_zeros() -> None:
    found = shifted(images(), torch.tensor(DOWN).float(), torch.tensor(RIGHT).float())
    expected = [by_hand(*each) for each in zip(images(), DOWN, RIGHT, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_a_shift_by_half_a_pixel_is_a_mean() -> None:
    half = torch.full((4,), 0.5)
    found = shifted(images(), torch.zeros(4), half)
    mean = (images() + images().roll(1, 3)) / 2
    torch.testing.assert_close(found[..., 1:], mean[..., 1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[..., 0], images()[..., 0] / 2, atol=1e-5, rtol=1e-5)


def test_a_flip_is_torch_flip_where_it_is_drawn() -> None:
    found = flipped(images(), torch.tensor([True, False, True, False]))
    assert torch.equal(found[::2], torch.flip(images()[::2], [-1]))
    assert torch.equal(found[1::2], images()[1::2])


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_right_angles_are_torch_rot90(degrees: float, turns: int) -> None:
    square = images(6, 6)
    found = rotated(square, torch.full((4,), float(degrees)))
    torch.testing.assert_close(found, torch.rot90(square, turns, (2, 3)), atol=1e-5, rtol=1e-5)


def test_an_image_that_is_no_square_keeps_its_proportions() -> None:
    wide = images(3, 7)
    turned = rotated(wide, torch.full((4,), 90.0))
    expected = torch.rot90(wide, 1, (2, 3))[:, :, 2:5]  # [3, 3] pixels are left of [7, 3]
    torch.testing.assert_close(turned[:, :, :, 2:5], expected, atol=1e-5, rtol=1e-5)
    assert not turned[:, :, :, [0, 6]].abs().gt(1e-5).any()


def test_within_is_each_images_rectangle() -> None:
    top, left, height, width = torch.tensor(
        [[0, 3, 1, 5], [2, 0, 0, 4], [6, 2, 0, 1], [1, 2, 5, 1]]
    )
    found = within(images(), top, left, height, width)
    for number in range(4):
        expected = torch.zeros(1, 6, 5, dtype=torch.bool)
        rows = slice(int(top[number]), int(top[number] + height[number]))
        columns = slice(int(left[number]), int(left[number] + width[number]))
        expected[:, rows, columns] = True
        assert torch.equal(found[number], expected)


def test_bfloat16_stays_and_is_near() -> None:
    amounts = torch.linspace(-2, 2, 4)
    for exact, rounded in (
        (shifted(images(), amounts, -amounts), shifted(images().bfloat16(), amounts, -amounts)),
        (rotated(images(), 20 * amounts), rotated(images().bfloat16(), 20 * amounts)),
    ):
        assert rounded.dtype == torch.bfloat16
        torch.testing.assert_close(rounded.float(), exact, atol=0.03, rtol=0.03)
