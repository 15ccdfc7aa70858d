"""The experiment file: YAML in, an `Experiment` or located errors out."""

from raytune_pipe.experiment_file.loading import load_experiment

__all__ = ["load_experiment"]
