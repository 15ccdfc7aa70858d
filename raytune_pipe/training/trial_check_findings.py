"""What a check of a trial came to, as plain values: one line for each thing looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]
_WORST_LAST: tuple[Verdict, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at in a trial."""

    name: str
    verdict: Verdict
    found: str
    expected: str = ""
    """What a healthy trial comes to; empty where there is nothing to compare with."""
    suspect: str = ""
    """What is likely wrong, the likeliest first; empty where all is well."""
    mend: str = ""
    """What to change or try; empty where all is well."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class RangeTest:
    """The loss at rising learning rates, and what follows from it."""

    rates: tuple[float, ...]
    """Until the loss diverged."""
    losses: tuple[float, ...]
    """Smoothed."""
    low: float | None
    """Where the loss begins to fall; None where it falls nowhere."""
    steepest: float | None
    high: float | None
    """Where it is lowest: it rises beyond."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> "RangeTest":
        """What `to_mapping` gave, also by way of JSON."""
        curves = {name: tuple(plain[name]) for name in ("rates", "losses")}
        return cls(**{**plain, **curves})


@dataclass(frozen=True)
class TrialCheck:
    """All that was found in a trial."""

    findings: tuple[Finding, ...]
    range_test: RangeTest | None
    """None where the trial's parts do not go together."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(finding.verdict != "fail" for finding in self.findings)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ok": self.ok,
            "findings": [finding.to_mapping() for finding in self.findings],
            "range_test": self.range_test.to_mapping() if self.range_test else None,
        }

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> "TrialCheck":
        """What `to_mapping` gave, also by way of JSON."""
        test = plain["range_test"]
        findings = tuple(Finding(**finding) for finding in plain["findings"])
        return cls(findings, RangeTest.from_mapping(test) if test else None)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts; ok of none."""
    return max(verdicts, key=_WORST_LAST.index, default="ok")


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
