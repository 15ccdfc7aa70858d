"""From numbers to what a person reads."""
