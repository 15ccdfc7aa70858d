"""Whether the weighted terms of a loss are of a size, so that each of them counts."""

import math
from collections.abc import Mapping, Sequence

MOST_APART = 100.0
"""Two decades: beyond it the smaller term has next to no say."""


def terms_apart(metrics: Mapping[str, float], terms: Sequence[str]) -> str | None:
    """A line on the largest and the smallest term, where they lie too far apart; else None.

    A term of zero is no case: its weight is zero, or nothing is left of it to learn.

    Args:
        metrics: Of an epoch, ``train_NAME`` of each term among them.
        terms: Names of the loss's terms.
    """
    sizes = {name: abs(metrics[f"train_{name}"]) for name in terms}
    sizes = {name: size for name, size in sizes.items() if size > 0 and math.isfinite(size)}
    if not sizes:
        return None
    least, most = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    apart = sizes[most] / sizes[least]
    if apart <= MOST_APART:
        return None
    return (
        f"the weighted loss terms {least} ({sizes[least]:.2g}) and {most} ({sizes[most]:.2g}) were"
        f" {apart:.0f} times apart in the first epoch, so {least} hardly counts; weight them so"
        " that they lie within two decades"
    )
