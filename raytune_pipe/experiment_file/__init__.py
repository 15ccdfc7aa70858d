"""The experiment file: YAML in, an `Experiment` or located errors out."""

from raytune_pipe.experiment_file.loading import load_experiment, require_allowed_imports

__all__ = ["load_experiment", "require_allowed_imports"]
