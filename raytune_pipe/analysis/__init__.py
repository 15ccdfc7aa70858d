"""From results to numbers: which hyperparameters matter."""
