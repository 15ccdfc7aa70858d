"""Distributed hyperparameter tuning of PyTorch models, with a ranking you can trust."""
