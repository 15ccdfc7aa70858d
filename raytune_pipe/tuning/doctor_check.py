"""One thing that `doctor` looked at, and what came of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was found, on which nodes, and what to do about it."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""
    """What to run or change; empty where all is well."""
    nodes: tuple[str, ...] = ()
    """Addresses of the nodes it was found on; empty where it is about the cluster as a whole."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> Self:
        """What `to_mapping` gave; raises KeyError or TypeError for anything else."""
        return cls(**{**plain, "nodes": tuple(plain["nodes"])})


def merged(checks: Iterable[Check]) -> list[Check]:
    """The checks in their order, one for all nodes on which the same was found."""
    groups: dict[Check, list[str]] = {}
    for check in checks:
        alone = Check(check.name, check.verdict, check.found, check.mend)
        groups.setdefault(alone, []).extend(check.nodes)
    return [
        Check(each.name, each.verdict, each.found, each.mend, tuple(nodes))
        for each, nodes in groups.items()
    ]
