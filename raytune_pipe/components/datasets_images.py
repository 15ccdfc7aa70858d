"""The user's own images, in one folder for each class."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_reading import (
    UsersPath,
    check_room,
    one_line,
    open_file,
    reason,
)
from raytune_pipe.components.splits import PARTS, HeldOut, limited, split_data, to_data
from raytune_pipe.components.task import Data

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""What has 8 bits per channel at most, which turning it into RGB keeps; transparency is dropped."""


class ImageFolder(Component):
    """The user's own PNG and JPEG images: a folder for each class, named by it.

    Where the path holds the folders ``train``, ``validation`` and ``test``, the classes are in each
    of these, and the split settings here have no effect. Needs the extra ``raytune-pipe[images]``.
    """

    kind: Literal["image_folder"] = "image_folder"
    """Name of the dataset."""
    path: UsersPath
    """The folder; relative to the current one, recorded absolute."""
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Height and width that every image is resized to, in pixels; by default all must have one."""
    color: Literal["rgb", "gray"] = "rgb"
    """Three channels, or one; all images are turned into that."""
    split_seed: Seed = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the samples that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the samples that is kept for the end."""
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """Images [samples, channels, height, width], standardized by the training part."""
        folders = _folders(Path(self.path))
        present = [part for part in PARTS if part in folders]
        if present and set(folders) != set(PARTS):
            raise ConfigError(
                f"path must hold the folders {', '.join(PARTS)}, or one for each class, but"
                f" {self.path} holds {_listed(folders)}; rename them"
            )
        inner = {part: _folders(folders[part]) for part in PARTS} if present else {}
        classes = list(inner["train"] if present else folders)
        if len(classes) < 2:
            raise ConfigError(
                f"path must hold folders of two classes at least, but {self.path} holds"
                f" {classes[0]} alone; name the folder that those of the classes lie in"
            )
        if not present:
            return split_data(self, *self._read(_files(folders, classes)))
        parts = {part: self._read(_files(inner[part], classes)) for part in PARTS}
        shapes = {part: list(images.shape[2:]) for part, (images, _) in parts.items()}
        if len({*map(tuple, shapes.values())}) > 1:
            raise ConfigError(
                f"images of {self.path} must all have one size, but theirs are {shapes}; set"
                " dataset.size to resize them"
            )
        return limited(to_data(parts), self.max_samples, self.split_seed)

    def _read(self, files: "Sequence[LabeledFile]") -> "tuple[Array, Array]":
        """Images [samples, channels, height, width] of 8 bits, and their classes."""
        import numpy as np

        first = self._decoded(files[0].path)
        check_room(Path(self.path), 5 * len(files) * first.size)
        images = np.empty((len(files), *first.shape), dtype="u1")
        for number, file in enumerate(files):
            image = self._decoded(file.path)
            if image.shape != first.shape:
                raise ConfigError(
                    f"images of {self.path} must all have one size, but {files[0].path} has"
                    f" {list(first.shape[1:])} and {file.path} {list(image.shape[1:])} (height,"
                    " width); set dataset.size to resize them"
                )
            images[number] = image
        return images, np.array([file.label for file in files])

    def _decoded(self, path: Path) -> "Array":
        """One image, [channels, height, width]."""
        import numpy as np

        try:
            from PIL import Image, ImageOps
        except ImportError as error:
            raise ConfigError(
                "dataset image_folder must find Pillow, which decodes images, but it is not"
                " installed; run: pip install 'raytune-pipe[images]'"
            ) from error
        with open_file(path, "a PNG or JPEG image") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it passes over in an image
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                image: Image.Image = Image.open(file, formats=("PNG", "JPEG"))
                if image.mode not in MODES:
                    raise ValueError(f"it has the mode {image.mode}, more than 8 bits per channel")
                image = ImageOps.exif_transpose(image)
                image = image.convert("RGB" if self.color == "rgb" else "L")
                if self.size is not None:
                    image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
            # a broken image makes a decoder raise SyntaxError, struct.error, its own and others
            except Exception as error:
                raise ConfigError(
                    f"path must be a PNG or JPEG image, but got {path} ({reason(error)}); write it"
                    " again, or take it out"
                ) from error
            pixels = np.asarray(image)
        return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


class LabeledFile(NamedTuple):
    """An image file, and the class that its folder stands for."""

    path: Path
    label: int


def _folders(path: Path) -> dict[str, Path]:
    """The folders within a folder by name, in order."""
    try:
        found = {entry.name: entry for entry in sorted(path.iterdir())}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"path must be a folder of images, but {path} cannot be read ({reason(error)}); name"
            " one that is there on every machine"
        ) from error
    shown = {name: entry for name, entry in found.items() if not name.startswith(".")}
    others = [name for name, entry in shown.items() if not entry.is_dir()]
    if others or not shown:
        raise ConfigError(
            f"path must hold nothing but folders, one for each class, but {path} holds"
            f" {_listed(others)}; put the images into folders"
        )
    return shown


def _files(folders: Mapping[str, Path], classes: Sequence[str]) -> list[LabeledFile]:
    """All images of the classes' folders, in order."""
    files = []
    for name, folder in folders.items():
        if name not in classes:
            raise ConfigError(
                f"path must hold every class in its training part, but {folder} is of none there"
                f" ({_listed(classes)}); rename it, or put images of it there"
            )
        entries = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".")]
        wrong = [entry.name for entry in entries if entry.suffix.lower() not in SUFFIXES]
        if wrong or not entries:
            raise ConfigError(
                f"path must hold PNG or JPEG files in each class's folder, but {folder} holds"
                f" {_listed(wrong)}; take it out"
            )
        files += [LabeledFile(entry, classes.index(name)) for entry in entries]
    return files


def _listed(names: "Sequence[str] | Mapping[str, Path]") -> str:
    found = list(names)
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return one_line(", ".join(found[:10]) + more) or "nothing"
