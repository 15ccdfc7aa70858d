"""Reading a run back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from raytune_pipe.search_space import SearchSpace


@dataclass(frozen=True)
class Results:
    """What a run has found, as tables with Arrow types: null (does not apply) is not NaN."""

    trials: pd.DataFrame
    """One row a trial."""
    reports: pd.DataFrame
    """One row a report, with the hyperparameters in force."""
    lineage: pd.DataFrame
    """One row a decision and hyperparameter that it changed."""
    experiment: dict[str, Any]
    """The resolved experiment, plain values."""
    space: SearchSpace
    objective: dict[str, str]
    """metric, mode (min or max), at (last or best)."""
    path: Path
