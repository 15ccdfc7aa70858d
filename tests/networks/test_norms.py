import pytest
import torch

from raytune_pipe.networks.norms import groups, image_norm


@pytest.mark.parametrize(
    ("channels", "count"), [(1, 1), (3, 1), (4, 1), (8, 2), (10, 2), (16, 4), (64, 16), (512, 32)]
)
def test_groups_are_equal_and_of_four_channels_or_more(channels: int, count: int) -> None:
    assert groups(channels) == count


def test_a_group_norm_does_not_depend_on_the_other_samples() -> None:
    norm, images = image_norm("group", 8), torch.randn(5, 8, 3, 3)
    torch.testing.assert_close(norm(images)[:1], norm(images[:1]))
