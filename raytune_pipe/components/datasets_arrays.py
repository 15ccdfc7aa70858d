"""The user's own arrays, from an .npz file."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

from raytune_pipe.base import Component, ConfigError, Count, Seed
from raytune_pipe.components.datasets_reading import UsersPath
from raytune_pipe.components.splits import (
    PARTS,
    HeldOut,
    class_problems,
    is_class,
    limited,
    not_finite,
    split_data,
    to_data,
)
from raytune_pipe.components.task import Data

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

WHOLE = ("x", "y")
SPLIT = tuple(f"{array}_{part}" for part in PARTS for array in WHOLE)


class Arrays(Component):
    """The user's own arrays in an .npz file: whole, or split by the user.

    Whole: ``x`` and ``y``. Split: ``x_train``, ``y_train``, ``x_validation``, ``y_validation``,
    ``x_test`` and ``y_test``; the split settings here then have no effect. Targets of an integer
    type [samples] are classes 0 to n - 1; all others are regressed on, and stay as they are.
    Inputs [samples, ...] are standardized per feature (per channel of images) by the training part.
    """

    kind: Literal["arrays"] = "arrays"
    """Name of the dataset."""
    path: UsersPath
    """The .npz file; relative to the current folder, recorded absolute."""
    split_seed: Seed = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the samples that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the samples that is kept for the end."""
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    def load(self) -> Data:
        """The arrays as tensors; raises ConfigError if the file does not hold what it must."""
        arrays = self._read()
        for problem in _problems(arrays):
            raise ConfigError(f"{self.path} must {problem}; write it again with numpy.savez")
        if "x" in arrays:
            return split_data(self, arrays["x"], arrays["y"])
        data = to_data({part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in PARTS})
        return limited(data, self.max_samples, self.split_seed)

    def _read(self) -> "dict[str, Array]":
        import numpy as np

        if Path(self.path).exists() and not Path(self.path).is_file():
            raise ConfigError(
                f"path must be an .npz file of numeric arrays, but {self.path} is a folder, a pipe "
                "or a device; write one with numpy.savez(path, x=..., y=...)"
            )
        try:
            # numpy leaves a file that it opened itself open when the archive is damaged
            with Path(self.path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        # a lone .npy array is no context manager: TypeError
        # a header may claim any size: MemoryError; or a way to pack or encrypt: RuntimeError
        except (
            OSError,
            EOFError,
            ValueError,
            TypeError,
            BadZipFile,
            zlib.error,
            MemoryError,
            RuntimeError,
        ) as error:
            raise ConfigError(
                f"path must be an .npz file of numeric arrays, but got {self.path} ({error}); write"
                " it with numpy.savez(path, x=..., y=...)"
            ) from error


def _problems(arrays: "Mapping[str, Array]") -> Iterator[str]:
    """What must hold for these arrays and does not, the most basic first."""
    if set(arrays) not in (set(WHOLE), set(SPLIT)):
        held = ", ".join(sorted(arrays)) or "nothing"
        yield f"hold either {', '.join(WHOLE)} or {', '.join(SPLIT)}, but holds {held}"
    suffixes = ("",) if "x" in arrays else tuple(f"_{part}" for part in PARTS)
    pairs = [(f"x{suffix}", f"y{suffix}") for suffix in suffixes]
    for x, y in pairs:
        yield from _number_problems(x, arrays[x])
        yield from _number_problems(y, arrays[y])
        yield from _shape_problems(x, arrays[x], y, arrays[y])
    for names in zip(*pairs, strict=True):
        yield from _difference_problems({name: arrays[name] for name in names})
    targets = [arrays[y] for _, y in pairs]
    if is_class(targets[0]):
        yield from class_problems(targets)


def _number_problems(name: str, array: "Array") -> Iterator[str]:
    if array.dtype.kind not in "iufb":
        yield f"hold numbers in {name}, but holds {array.dtype}"
    elif bad := not_finite(array):
        yield f"hold finite numbers in {name}, but {bad} of {array.size} are not"


def _shape_problems(x_name: str, x: "Array", y_name: str, y: "Array") -> Iterator[str]:
    if x.ndim < 2 or 0 in x.shape[1:]:
        yield f"hold {x_name} as [samples, features, ...], but its shape is {list(x.shape)}"
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        yield f"hold {y_name} as [samples] or [samples, width], but its shape is {list(y.shape)}"
    if not len(x) == len(y) > 0:
        yield f"hold as many {x_name} as {y_name}, at least one, but has {len(x)} and {len(y)}"


def _difference_problems(parts: "Mapping[str, Array]") -> Iterator[str]:
    shapes = {name: list(array.shape[1:]) for name, array in parts.items()}
    if any(shape != next(iter(shapes.values())) for shape in shapes.values()):
        yield f"hold samples of one shape in {', '.join(shapes)}, but theirs are {shapes}"
    if len({is_class(array) for array in parts.values()}) > 1:
        types = {name: str(array.dtype) for name, array in parts.items()}
        yield f"hold all targets as integers or none, but theirs are {types}"
