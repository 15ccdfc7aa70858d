"""What Ray is asked for per trial: a bundle of resources for each of its workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]


@dataclass(frozen=True)
class TrialRequest:
    """One placement group of Ray's: equal bundles, the first of them for rank 0."""

    bundles: tuple[dict[str, float], ...]
    """Resources by name (CPU, GPU, ...) of each worker."""
    strategy: Strategy = "PACK"

    @property
    def worker(self) -> dict[str, float]:
        """What each worker is given."""
        return self.bundles[0]

    @property
    def device(self) -> str:
        """What its workers train on: the CPU where they are given no GPU, whatever torch sees."""
        return "cuda" if self.worker.get("GPU") else "cpu"

    def slots(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """How many such trials fit on the nodes at once."""
        workers = len(self.bundles)
        fitting = [_workers_on(node, self.worker) for node in nodes]
        if self.strategy == "STRICT_PACK":
            return sum(count // workers for count in fitting)
        slots = sum(fitting) // workers
        if self.strategy == "STRICT_SPREAD":
            # A node takes one worker of each trial, so at most as many workers as there are trials.
            while slots * workers > sum(min(count, slots) for count in fitting):
                slots -= 1
        return slots

    def __str__(self) -> str:
        """``1 CPU``, or ``4 workers of 1 CPU and 1 GPU (strict_pack)``."""
        named = {name: share for name, share in self.worker.items() if ":" not in name}
        share = " and ".join(f"{share:g} {name}" for name, share in named.items())
        share += "".join(f" of type {name.split(':')[1]}" for name in self.worker if ":" in name)
        if len(self.bundles) == 1:
            return share
        return f"{len(self.bundles)} workers of {share} ({self.strategy.lower()})"


def _workers_on(node: Mapping[str, float], worker: Mapping[str, float]) -> int:
    return min(
        _shares_of(node.get(name, 0), name, share) for name, share in worker.items() if share
    )


def _shares_of(has: float, name: str, share: float) -> int:
    # Rounded, since ten GPU tenths must fit one GPU.
    if name == "GPU" and share < 1:  # no share is put together from several GPUs
        return int(has) * int(round(1 / share, 6))
    return int(round(has / share, 6))
