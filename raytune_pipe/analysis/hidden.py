"""What a model misses but noise does not explain: cliffs, and whatever else is local.

Where training diverges beyond some border, held-out predictions are right nearly everywhere and far
off at the border. Errors then have heavy tails. What they have beyond those of normal noise belongs
to some interaction, and nobody knows to which.
"""

import numpy as np

from raytune_pipe.analysis.fitting import HeldOut
from raytune_pipe.components.surrogates import Shares

NORMAL = 1.4826
"""Standard deviations in a median absolute deviation, of a normal distribution."""
BY_CHANCE = 5.0
"""Standard errors by which the variance of normal errors may exceed its robust estimate; it hardly
ever does by 3, but scores of one trial are alike."""
WORTH_SAYING = 0.01
"""Of the target's variance."""
LATE = 0.5
"""What may come of trials once they are no longer seen, as a part of the explained variance, where
none is seen to its end. What begins late, such as divergence, leaves no trace in early scores."""


def hidden_variance(held_out: HeldOut) -> float:
    """The part of held-out errors' variance beyond normal noise, relative to the target's."""
    errors = held_out.target - held_out.predicted
    variance = float(np.var(held_out.target))
    if variance == 0:
        return 0.0
    spread = NORMAL * np.median(np.abs(errors - np.median(errors)))
    normal = spread**2 * (1 + BY_CHANCE * np.sqrt(2 / len(errors)))
    return float(np.clip((np.mean(errors**2) - normal) / variance, 0.0, 1.0))


def with_hidden(shares: Shares, hidden: float, rng: np.random.Generator) -> Shares:
    """Shares as they are if a part of what is hidden belongs to some pair.

    ``hidden`` is relative to the surrogate's variance. The part is drawn evenly; one member of the
    pair by its total share, since what interacts mostly has an effect (effect heredity; Hamada and
    Wu 1992, doi:10.1080/00224065.1992.11979383), the other from all others alike.
    """
    axes = len(shares.total)
    if hidden == 0 or axes < 2 or shares.variance == 0:
        return shares
    one = int(rng.choice(axes, p=shares.total / shares.total.sum()))
    pair = [one, int(rng.choice(np.delete(np.arange(axes), one)))]
    part = hidden * rng.random()
    total, pairs = shares.total.copy(), shares.pairs.copy()
    total[pair] += part
    pairs[pair, pair[::-1]] += part
    whole = 1 + part
    return Shares(shares.first / whole, total / whole, pairs / whole, shares.variance * whole)


def hidden_of_explained(hidden: float, explained: float, unseen: float) -> float:
    """The hidden variance relative to what is explained, from fractions of the target's.

    ``unseen`` is the part of the trials whose score at the full budget is not known.
    """
    by_errors = hidden / max(explained, hidden) if hidden else 0.0
    return max(by_errors, LATE * unseen)


def hidden_note(hidden: float) -> str | None:
    """A sentence on it, where it is worth one."""
    if hidden < WORTH_SAYING:
        return None
    return (
        f"about {hidden:.0%} of the variance is neither explained nor like noise: a few trials are "
        "far off, as at a cliff. It may belong to any interaction; the intervals allow for that."
    )
