"""What trials were warned of while they trained."""

from dataclasses import dataclass
from typing import Any

from raytune_pipe.analysis.plain_values import plain
from raytune_pipe.results.reading import Results


@dataclass(frozen=True)
class WarnedTrials:
    """A kind of warning, and whom it was given to."""

    kind: str
    trials: tuple[str, ...]
    """In the order in which they began."""
    begun: int
    """Trials in all."""
    example: str
    """What the first of them was told."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(self))


def warned_trials(results: Results) -> tuple[WarnedTrials, ...]:
    """Each kind of warning that any trial was given; tables of before have none."""
    trials = results.trials
    if "warnings" not in trials:
        return ()
    said: dict[str, dict[str, str]] = {}
    for trial_id, warnings in zip(trials["trial_id"], trials["warnings"].fillna(""), strict=True):
        for line in str(warnings).splitlines():
            kind, _, what = line.partition(": ")
            said.setdefault(kind, {})[str(trial_id)] = what
    return tuple(
        WarnedTrials(kind, tuple(told), len(trials), next(iter(told.values())))
        for kind, told in said.items()
    )
