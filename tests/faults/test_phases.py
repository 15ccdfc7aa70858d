"""The named phases at which `make faults` kills runs on Ray."""

from benchmarks.killed_driver import phases


def test_every_phase_says_how_it_is_hit() -> None:
    assert all(phase.how for phase in phases(6).values())
