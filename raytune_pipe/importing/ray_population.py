"""What Ray's files tell of population-based training: who copied whom, and what was lost.

``pbt_global.txt`` has a line of JSON for every copy: the tags of the trial and of its donor (each
begins with the trial's number), their iterations, the donor's configuration and the new one.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raytune_pipe.base import ResultsError, Value
from raytune_pipe.results.events import DecisionRecord
from raytune_pipe.results.files import storage_errors

EXPLOITS = "pbt_global.txt"


class Exploit(NamedTuple):
    """A trial was replaced by a copy of another."""

    donor: str
    iteration: int
    donor_iteration: int
    values: Mapping[str, Value]
    """The new configuration, flat."""


def read_exploits(
    folder: Path, ids: Iterable[str], to_values: Callable[[Mapping[str, Any]], dict[str, Value]]
) -> dict[str, list[Exploit]]:
    """The copies of each trial, in order; ``to_values`` flattens a configuration.

    Raises:
        ResultsError: a line is damaged.
    """
    file = folder / EXPLOITS
    if not file.is_file():
        return {}
    by_number = {trial_id.rpartition("_")[2].lstrip("0"): trial_id for trial_id in ids}
    found: dict[str, list[Exploit]] = {}
    with storage_errors(file):
        lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            target, donor, iteration, donor_iteration, _, config = json.loads(line)
            names = [by_number[str(tag).split("_")[0].lstrip("0")] for tag in (target, donor)]
            exploit = Exploit(names[1], int(iteration), int(donor_iteration), to_values(config))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultsError(
                f"{file}:{number}: must tell which of the trials was copied, but got {line[:80]!r}"
            ) from error
        found.setdefault(names[0], []).append(exploit)
    return found


def interval_of(exploits: Mapping[str, Sequence[Exploit]]) -> int:
    """The greatest perturbation interval that fits the iterations of all copies; at least 1."""
    ages = [one.iteration for copies in exploits.values() for one in copies]
    return max(math.gcd(*ages), 1)


class Step(NamedTuple):
    """Where a report stands in the course of its trial."""

    number: int
    segment: int
    copy: Exploit | None
    """The copy that came before it."""
    lost: int
    """Reports that were lost before it."""


def course_of(
    iterations: Sequence[int],
    values: Sequence[Mapping[str, Value]],
    copies: Sequence[Exploit],
    is_population: bool,
) -> list[Step]:
    """The reports of a trial in order; ``values`` are the searched hyperparameters at each.

    A new segment begins wherever the values changed. Numbers rise as the iterations do, so that
    what was lost leaves a gap: what came before a report that follows one is not known.
    """
    steps: list[Step] = []
    left = list(copies)
    for place, iteration in enumerate(iterations):
        if not place:
            steps.append(Step(max(iteration, 1), 0, None, max(iteration, 1) - 1))
            continue
        before, age = steps[-1], iterations[place - 1]
        changed = is_population and values[place] != values[place - 1]
        copy = _next_copy(left, values[place]) if changed else None
        start = copy.donor_iteration if copy else age
        lost = max(copy.iteration - age, 0) if copy else 0
        rise = max(iteration - start, 1)
        steps.append(Step(before.number + rise, before.segment + changed, copy, lost + rise - 1))
    return steps


def decision_of(
    trial_id: str,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    copy: Exploit | None,
    donor_report: int | None,
) -> DecisionRecord:
    """What was decided between two reports of a trial whose hyperparameters differ."""
    changes = [
        [name, "perturb", before.get(name), value]
        for name, value in after.items()
        if before.get(name) != value
    ]
    return {
        "trial": trial_id,
        "action": "exploit",
        "diverged": False,
        "rung": None,
        "bracket": None,
        "cutoff": None,
        "donor": copy.donor if copy and donor_report else None,
        "donor_report": donor_report if copy else None,
        "checkpoint": None,
        "values": dict(after),
        "changes": changes,
    }


def _next_copy(left: list[Exploit], values: Mapping[str, Value]) -> Exploit | None:
    """The next copy that got these values; those before it left no report."""
    for place, copy in enumerate(left):
        if all(copy.values.get(name) == value for name, value in values.items()):
            del left[: place + 1]
            return copy
    return None
