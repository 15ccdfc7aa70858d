"""What was decided in a run, for a comparison of two."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from raytune_pipe.results.events import Event

Decided = dict[str, list[tuple[Any, ...]]]
"""By trial, what was decided on it, in order."""


def decided(events: Iterable[Event]) -> Decided:
    """Every decision and every end, but for checkpoints: donor and report say which one it is.

    Its name tells the attempt, and its bytes the seconds trained, so both differ after a kill.
    Waiting is left out: who waits at a barrier, and who closes it, is the order of arrival.
    """
    found: Decided = defaultdict(list)
    for event in events:
        if event["event"] == "decision":
            for decision in event["decisions"]:
                if decision["action"] == "wait":
                    continue
                plain = {**decision, "checkpoint": None}
                found[decision["trial"]].append(tuple(map(repr, plain.values())))
        elif event["event"] == "end":
            found[event["trial_id"]].append((event["status"], event["reason"]))
    return dict(found)


def differing(found: Decided, expected: Decided) -> int:
    """How many decisions and ends are not those expected."""
    count = 0
    for trial in found.keys() | expected.keys():
        one, other = found.get(trial, []), expected.get(trial, [])
        count += abs(len(one) - len(other))
        count += sum(a != b for a, b in zip(one, other, strict=False))
    return count
