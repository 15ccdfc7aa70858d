"""Changes of images, of each by its own amounts, without a loop over them.

Images are [n, channels, height, width], amounts [n] on their device; what comes into view from
beyond the edges is zero. Rows count downwards, columns to the right.
"""

import torch
from torch import Tensor
from torch.nn import functional


def cropped(images: Tensor, top: Tensor, left: Tensor, padding: int, mode: str) -> Tensor:
    """Images of the old size out of padded ones.

    Args:
        images: As above.
        top: First row of each, int64, from 0 to twice the padding.
        left: Its first column.
        padding: Rows or columns that are added on each side.
        mode: ``constant`` fills them with zeros, ``reflect`` with the image's own.
    """
    height, width = images.shape[2:]
    padded = functional.pad(images, (padding,) * 4, mode=mode)
    # A view of all windows: copied by whole rows, it takes a fraction of a gather's time.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def flipped(images: Tensor, is_flipped: Tensor) -> Tensor:
    """Those images mirrored left to right."""
    return torch.where(is_flipped[:, None, None, None], images.flip(-1), images)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images moved by so many pixels, interpolated between whole ones."""
    height, width = images.shape[2:]
    one, zero = torch.ones_like(down), torch.zeros_like(down)
    rows = torch.stack([one, zero, -2 * right / width], dim=-1)
    columns = torch.stack([zero, one, -2 * down / height], dim=-1)
    return _sampled(images, torch.stack([rows, columns], dim=1))


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Images turned counterclockwise about their middle, interpolated."""
    height, width = images.shape[2:]
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    zero = torch.zeros_like(degrees)
    rows = torch.stack([cosine, -sine * (height / width), zero], dim=-1)
    columns = torch.stack([sine * (width / height), cosine, zero], dim=-1)
    return _sampled(images, torch.stack([rows, columns], dim=1))


def within(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Whether a pixel lies within each image's rectangle: bool [n, 1, height, width]."""
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def _sampled(images: Tensor, maps: Tensor) -> Tensor:
    """Bilinear; ``maps`` [n, 2, 3] leads from the new image's coordinates to the old one's."""
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    exact = images.float()  # in bfloat16 the coordinates of a pixel would be off by whole ones
    return functional.grid_sample(exact, grid, align_corners=False).to(images.dtype)
