"""One trial, without Ray: the loop, its checkpoints, its probes, its seeding."""
