"""Experiment: a trial, its search space, and how the trials are drawn, scheduled and compared."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from raytune_pipe import variants
from raytune_pipe.advice import Advised, Entries, advice_problems, with_advice
from raytune_pipe.base import Component, ConfigError, Positive, Seed, Value, seed_draw
from raytune_pipe.components.schedulers import Fifo, Scheduler
from raytune_pipe.components.searchers import Points, Random, Searcher
from raytune_pipe.components.searchers_tpe import Past, Tpe
from raytune_pipe.conditions import space_of
from raytune_pipe.distributions import Distribution
from raytune_pipe.experiment_checks import (
    objective_problems,
    scheduler_problems,
    search_space_problems,
)
from raytune_pipe.problems import problems_of, shown, to_validation_error
from raytune_pipe.resources import Resources, Retries
from raytune_pipe.results.locations import normalized
from raytune_pipe.results.run_names import NAME
from raytune_pipe.scheduling.decisions import DecisionMaker, trial_id_of
from raytune_pipe.search_space import SearchSpace, Values
from raytune_pipe.searcher_checks import searcher_problems
from raytune_pipe.trial import Trial, leaves

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


TrapCode = Literal[
    "linear_learning_rate",
    "grid_of_many",
    "outside_advice",
    "dropout_before_batch_norm",
    "tiny_batch_norm",
    "zero_initialization",
    "deep_sigmoid",
    "muon_without_matrices",
    "loss_terms_apart",
    "more_parameters_than_samples",
    "data_not_seen",
]
"""What names a trap that practitioners know, see `traps`."""


class Objective(Component):
    """What the trials are compared by."""

    metric: str = "val_loss"
    """A metric that every report has."""
    mode: Literal["min", "max"] = "min"
    """Whether lower or higher is better."""
    at: Literal["last", "best"] = "last"
    """Which report gives a trial its score in the results; decisions use the current one."""

    def score(self, metrics: Mapping[str, float]) -> float:
        """The metric turned so that lower is better; NaN where it is absent or not finite."""
        value = metrics.get(self.metric, math.nan)
        if not math.isfinite(value):
            return math.nan
        return value if self.mode == "min" else -value


class PlannedTrial(NamedTuple):
    """One trial as it was drawn."""

    trial_id: str
    """Its number, from 00000."""
    values: dict[str, Value]
    """The searched hyperparameters, as validated; None where one does not apply."""
    trial: Trial

    def leaves(self) -> dict[str, Value]:
        """Every scalar leaf of the trial; null where it is searched but does not apply."""
        return {name: self.values.get(name, leaf) for name, leaf in leaves(self.trial).items()}


MOST_DRAWS = 20
"""Of one trial, where what is drawn is not valid as a whole."""


def _folder_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError(
            "must be 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or"
            f" a digit, but got {shown(name)}; it names the run's folder"
        )
    return name


class Experiment(Component):
    """A search for the hyperparameters of a trial."""

    name: Annotated[
        str, AfterValidator(_folder_name), Field(json_schema_extra={"pattern": f"^{NAME}$"})
    ]
    """Names the run's folder in the storage."""
    seed: Seed = 0
    """Fixes every draw: configurations, trials' own seeds, decisions."""
    trial: Trial
    """One complete training run, which the search varies."""
    search_space: Entries = Field(default_factory=dict)
    """What is searched: dotted paths into the trial, each with its distribution or the advised
    one."""
    objective: Objective = Objective()
    """What the trials are compared by."""
    searcher: Searcher = Random()
    """How the configurations are drawn."""
    scheduler: Scheduler = Fifo()
    """Which trials stop early, and which copy others."""
    trials: Annotated[int, Field(ge=1, le=10**5)]
    """How many configurations; under population-based training, the population."""
    resources: Resources = Resources()
    """What one trial is given."""
    checkpoint_seconds: Positive = 60.0
    """Longest time between two checkpoints of a trial, beside those that decisions need."""
    keep_checkpoints: Annotated[int, Field(ge=2, le=1000)] = 3
    """Checkpoint files kept of a trial: its best, its latest and those before; donors' besides."""
    trial_timeout_s: Positive | None = None
    """Longest time from a trial's start or report to its next report; null is no limit."""
    retries: Retries = Retries()
    """How often a trial starts again after a failure."""
    env_passthrough: tuple[VariableName, ...] = ()
    """Environment variables that workers on a cluster get, by name; their values are not kept."""
    storage: Annotated[str, Field(min_length=1), AfterValidator(normalized)] = "results"
    """Where the run's folder is: a folder, relative to the current one, or s3:// or gs://."""
    ignore: tuple[TrapCode, ...] = ()
    """Traps that `validate` and `launch` say nothing of, by their codes."""
    journal_sync_seconds: Annotated[float, Field(ge=0.1)] = 5.0
    """Seconds between two copies of a run to its bucket: most that a lost driver's disk costs."""

    @field_validator("search_space")
    @classmethod
    def _advice_filled_in(
        cls, entries: dict[str, Distribution | Advised], info: ValidationInfo
    ) -> dict[str, Distribution]:
        trial = info.data.get("trial")  # none where it is not valid, which is told
        plain = variants.to_plain(trial) if trial else {}
        if trial and (problems := list(advice_problems(entries, plain))):
            raise to_validation_error("Experiment", problems)
        return with_advice(entries, plain)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        problems = [
            *search_space_problems(self.trial, self.search_space),
            *scheduler_problems(self.scheduler, self.trial, self.search_space, self.trials),
            *objective_problems(self.objective.metric, self.objective.mode, self.trial),
        ]
        if not problems:  # there is a space only where every path leads somewhere
            space, own = self.space(), leaves(self.trial)
            problems += searcher_problems(self.searcher, self.scheduler, space, own, self.trials)
        if problems:
            raise to_validation_error("Experiment", problems)
        return self

    def space(self) -> SearchSpace:
        """The search space, parents before the hyperparameters that depend on them."""
        return self._space

    @cached_property
    def _space(self) -> SearchSpace:
        return space_of(self._plain, self.search_space)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        return variants.to_plain(self.trial)

    def trial_with(self, values: Values, trial_id: str) -> Trial:
        """The validated trial with these searched values and its own seed.

        Raises:
            ConfigError: the values do not go together.
        """
        plain = {**self._plain, "seed": seed_draw(self.seed, "trial", trial_id)}
        try:
            for hyperparameter in self.space():
                value = values.get(hyperparameter.name)
                if value is None or not hyperparameter.applies(values):
                    continue
                distribution = hyperparameter.distribution
                if variants.is_component_choice(distribution):
                    path = hyperparameter.name.removesuffix(".kind")
                    plain = variants.put_option(plain, path, distribution.option(value))
                elif distribution.kind == "choice":
                    option = distribution.option(value)
                    plain = variants.put(plain, hyperparameter.name, option)
                else:
                    plain = variants.put(plain, hyperparameter.name, value)
            return variants.to_trial(plain)
        except ValidationError as error:
            found = problems_of(error, Trial, plain)
            reasons = "; ".join(f"{problem.dotted}: {problem.message}" for problem in found)
            drawn = ", ".join(f"{name} {value}" for name, value in values.items())
            raise ConfigError(
                f"trial {trial_id} must be valid, but with {drawn}: {reasons}; narrow the search"
                " space"
            ) from error

    def decision_maker(self) -> DecisionMaker:
        """What decides on its trials, before it has heard of any report."""
        return self.scheduler.build(self.space(), self.trial_ids, self.trial.epochs, self.seed)

    @property
    def trial_ids(self) -> list[str]:
        """The names of all trials, also of those that are drawn later."""
        return [trial_id_of(number) for number in range(self.trials)]

    def plan(self) -> list[PlannedTrial]:
        """All trials, drawn from the seed; without those that are drawn from results, `draw_next`.

        Raises:
            ConfigError: a drawn configuration is not valid as a whole.
        """
        plan = self.searcher.plan(self.space(), self.trials, self.seed, leaves(self.trial))
        return [self._planned(number, drawn) for number, drawn in enumerate(plan)]

    def draw_next(self, past: Sequence[Past]) -> PlannedTrial:
        """The trial that comes after all these, drawn from the seed and from their results.

        The searcher must be one that draws from results. What it draws that is not valid as a whole
        is drawn again.

        Raises:
            ConfigError: nothing valid was drawn.
        """
        searcher = self.searcher
        if not isinstance(searcher, Tpe | Points):
            raise TypeError(f"{searcher.kind} draws all trials beforehand")
        for attempt in range(MOST_DRAWS):
            try:
                drawn = searcher.suggest(self.space(), self.seed, past, attempt)
                return self._planned(len(past), drawn)
            except ConfigError as error:
                invalid = error
        raise invalid

    def _planned(self, number: int, drawn: Values) -> PlannedTrial:
        trial_id = trial_id_of(number)
        trial = self.trial_with(drawn, trial_id)
        validated = leaves(trial)
        values = {name: None if value is None else validated[name] for name, value in drawn.items()}
        return PlannedTrial(trial_id, values, trial)

    def resolved(self) -> dict[str, Any]:
        """Plain values with every default; loading them gives an equal experiment."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """`resolved` as an experiment file."""
        from ruamel.yaml import YAML

        text = io.StringIO()
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        # Some characters, and some lines that are folded, would not be read back as they were.
        yaml.allow_unicode, yaml.width = False, 1_000_000
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel types it None
        yaml.dump(self.resolved(), text)
        return text.getvalue()


def experiment_schema() -> dict[str, Any]:
    """The JSON schema of experiment files."""
    schema = Experiment.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
