"""Decisions of ASHA, population-based training and the rest: pure, seeded, replayable."""
