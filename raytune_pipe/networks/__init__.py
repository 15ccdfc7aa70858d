"""Torch modules without configuration."""
