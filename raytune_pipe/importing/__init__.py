"""Results that other programs made, as runs of this one: they can be analyzed like any other."""
