"""What Optuna's importance evaluators say of the same run.

Needs the extra `optuna` (Optuna 5). All three as a user gets them: default options (but a seed),
only trials that completed, categories for every choice, and importances that add up to 1. A
hyperparameter that is not in the answer counts as 0: fANOVA and mean decrease in impurity leave out
those that some trials lack, so all conditional ones.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytune_pipe.analysis.observations import value_of
from raytune_pipe.distributions import Choice, Distribution, IntUniform, LogIntUniform, LogUniform
from raytune_pipe.results.reading import Results
from raytune_pipe.search_space import SearchSpace, Values

Array = NDArray[np.float64]

PEERS: Mapping[str, Callable[[], BaseImportanceEvaluator]] = {
    "fANOVA": lambda: FanovaImportanceEvaluator(seed=0),
    "PED-ANOVA": PedAnovaImportanceEvaluator,
    "MDI": lambda: MeanDecreaseImpurityImportanceEvaluator(seed=0),
}
"""Hutter et al. 2014, Watanabe et al. 2023 (arXiv:2304.10255), and impurity of a random forest."""


def study_of(results: Results) -> optuna.Study:
    """A finished run as a study in memory; trials that diverged are failed ones."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    columns = [
        [value_of(one, cell) for cell in results.trials[one.name].tolist()] for one in results.space
    ]
    scores = results.trials["score"].to_numpy(dtype=float, na_value=np.nan)
    study.add_trials(
        [
            _trial(results.space, dict(zip(results.space.names, row, strict=True)), float(score))
            for row, score in zip(zip(*columns, strict=True), scores, strict=True)
        ]
    )
    return study


def peer_importances(study: optuna.Study, peer: str) -> dict[str, float]:
    """Importances by name, from one of `PEERS`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=PEERS[peer]())
    return {str(name): float(share) for name, share in found.items()}


def _trial(space: SearchSpace, values: Values, score: float) -> FrozenTrial:
    given = {name: value for name, value in values.items() if value is not None}
    completed = bool(np.isfinite(score))
    return create_trial(
        state=TrialState.COMPLETE if completed else TrialState.FAIL,
        value=score if completed else None,
        params=given,
        distributions={name: _distribution(space[name].distribution) for name in given},
    )


def _distribution(ours: Distribution) -> BaseDistribution:
    if isinstance(ours, Choice):
        return CategoricalDistribution(ours.labels)
    log = isinstance(ours, LogUniform | LogIntUniform)
    kind = IntDistribution if isinstance(ours, IntUniform | LogIntUniform) else FloatDistribution
    return kind(ours.low, ours.high, log=log)
