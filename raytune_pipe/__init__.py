"""Distributed hyperparameter tuning of PyTorch models on Ray Tune, with a trustworthy ranking."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raytune_pipe.analysis.importance import rank_importance
    from raytune_pipe.experiment_file import load_experiment
    from raytune_pipe.results.reading import read_results
    from raytune_pipe.tuning.runner import launch, resume

__all__ = ["launch", "load_experiment", "rank_importance", "read_results", "resume"]

_HOMES = {
    "launch": "raytune_pipe.tuning.runner",
    "load_experiment": "raytune_pipe.experiment_file",
    "rank_importance": "raytune_pipe.analysis.importance",
    "read_results": "raytune_pipe.results.reading",
    "resume": "raytune_pipe.tuning.runner",
}


def __getattr__(name: str) -> Any:
    # Imported when first used (PEP 562): reading results must not cost the import of Ray.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
