"""What is advised for a hyperparameter of a given trial, and whether a searched range meets it."""

from collections.abc import Mapping, Sequence

from raytune_pipe.advice_table import ADVICE, Advice, sources_of
from raytune_pipe.distributions import Choice, Distribution
from raytune_pipe.distributions_fields import is_number, label_of
from raytune_pipe.variants import Plain, variants


def advised_range(path: str, plain: Plain) -> Advice | None:
    """The advice on a hyperparameter of a trial, plain values; None where there is none."""
    rows = (advice for advice in ADVICE if advice.path == path and advice.is_meant_for(plain))
    return next(rows, None)


def advised_over(path: str, plain: Plain, space: Mapping[str, Distribution]) -> Advice | None:
    """The same where components are searched: the range that holds what is advised for each.

    ``space`` is searched beside it; its choices of components give the trial's variants.
    """
    found: list[Advice] = []
    for variant in variants(plain, space, path):
        advice = advised_range(path, variant.plain)
        if advice is not None and advice not in found:
            found.append(advice)
    if len(found) < 2:
        return found[0] if found else None
    return Advice(
        path,
        _hull([advice.distribution for advice in found]),
        sources_of("".join(letter for advice in found for letter in advice.by)),
        f"It holds the ranges advised for the {len(found)} cases that are searched.",
        alternatives=tuple(dict.fromkeys(other for one in found for other in one.alternatives)),
    )


def advised_paths(plain: Plain) -> list[str]:
    """The hyperparameters of a trial that there is advice on."""
    return list(dict.fromkeys(one.path for one in ADVICE if one.is_meant_for(plain)))


def overlaps(searched: Distribution, advised: Distribution) -> bool:
    """Whether a searched range has anything in common with an advised one.

    Ranges that cannot be compared, such as lists or names, count as overlapping unless they are
    choices of the same kind without a common option.
    """
    of_both = _numbers(searched), _numbers(advised)
    if of_both[0] and of_both[1]:
        low, high = min(of_both[1]), max(of_both[1])
        if isinstance(searched, Choice):
            return any(low <= number <= high for number in of_both[0])
        return min(of_both[0]) <= high and low <= max(of_both[0])
    if isinstance(searched, Choice) and isinstance(advised, Choice):
        return bool(set(searched.labels) & set(advised.labels))
    return True


def _numbers(distribution: Distribution) -> list[float]:
    """The options that are numbers, or the bounds."""
    if not isinstance(distribution, Choice):
        return [distribution.low, distribution.high]
    return [label for label in distribution.labels if is_number(label)]


def _hull(distributions: Sequence[Distribution]) -> Distribution:
    """The smallest range that holds all of these, which must be of one kind."""
    first = distributions[0]
    if isinstance(first, Choice):
        options = [each for one in distributions if isinstance(one, Choice) for each in one.options]
        return Choice(options=tuple({label_of(each): each for each in options}.values()))
    numbers = [number for one in distributions for number in _numbers(one)]
    return first.model_copy(update={"low": min(numbers), "high": max(numbers)})
