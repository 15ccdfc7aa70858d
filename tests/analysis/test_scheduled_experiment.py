"""What a lineage becomes as an experiment: its learning rate at every step."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytest

from raytune_pipe.analysis.best import best_trial
from raytune_pipe.analysis.lineage_schedule import lineage_schedule
from raytune_pipe.analysis.scheduled_experiment import ScheduledExperiment, scheduled_experiment
from raytune_pipe.base import to_json
from raytune_pipe.components.schedules_progress import Progress
from raytune_pipe.experiment import Experiment
from tests.analysis.lineages import STEPS, epochs_of, population

EXPERIMENT = {
    "name": "members",
    "seed": 3,
    "trial": {
        "dataset": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "loss": {"kind": "cross_entropy"},
        "optimizer": {"kind": "sgd", "lr": 0.5},
        "epochs": 4,
    },
    "search_space": {
        "optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1.0},
        "batch_size": {"kind": "choice", "options": [32, 64, 128]},
    },
    "scheduler": {"kind": "pbt", "interval_epochs": 2},
    "trials": 4,
}
RATES = (0.1, 0.1, 0.3, 0.3)


def experiment_with(schedule: dict[str, Any]) -> Experiment:
    trial = {**EXPERIMENT["trial"], "schedule": schedule}  # type: ignore[dict-item]  # a mapping
    return Experiment.model_validate_json(to_json({**EXPERIMENT, "trial": trial}))


def scheduled(
    schedule: dict[str, Any],
    rates: Sequence[float] = RATES,
    sizes: Sequence[int] = (32, 32, 32, 32),
    losses: Sequence[float] = (4, 3, 2, 1),
) -> ScheduledExperiment:
    """Of a member that copied itself, so to speak: one trial whose hyperparameters changed."""
    ages = range(1, len(rates) + 1)
    reports = epochs_of("00000", ages, *zip(rates, sizes, strict=True))
    rows = [{**row, "val_loss": loss} for row, loss in zip(reports, losses, strict=True)]
    results = population(rows)
    learned = lineage_schedule(results, best_trial(results))
    return scheduled_experiment(experiment_with(schedule), learned)


def rates_of(
    experiment: Experiment, scores: Sequence[float] = (), planned: int | None = None
) -> list[list[float]]:
    """The learning rate of each step, a list an epoch, as the trainer asks for it."""
    trial = experiment.trial
    return [
        [
            trial.optimizer.lr
            * trial.schedule.factors(
                Progress(
                    epoch + index / STEPS,
                    epoch * STEPS + index,
                    planned or trial.epochs,
                    STEPS,
                    trial.optimizer.lr,
                ),
                scores[:epoch],
            ).lr
            for index in range(STEPS)
        ]
        for epoch in range(trial.epochs)
    ]


def test_a_constant_schedule_becomes_pieces() -> None:
    alone = scheduled({"kind": "constant"})
    assert alone.experiment.trial.schedule.model_dump(exclude_none=True) == {
        "kind": "piecewise",
        "rates": {0: 0.1, 2: 0.3},
        "unit": "epoch",
    }
    assert rates_of(alone.experiment) == [
        pytest.approx([rate] * STEPS, rel=1e-15) for rate in RATES
    ]
    assert (alone.scheduled, alone.fixed, alone.notes) == (("optimizer.lr",), {}, ())


def test_it_is_one_trial_without_a_search() -> None:
    alone = scheduled({"kind": "constant"})
    experiment = alone.experiment
    assert (experiment.name, experiment.trials) == ("members-schedule", 1)
    assert (experiment.search_space, experiment.scheduler.kind) == ({}, "fifo")
    of_founder = experiment_with({"kind": "constant"}).trial_with({}, "00000")
    assert experiment.trial.seed == of_founder.seed  # the lineage's own initial weights


def test_the_seed_is_the_founders() -> None:
    reports = [
        *epochs_of("00000", (1, 2, 3, 4), *[(0.9, 32)] * 2, *[(0.1, 32)] * 2),
        *epochs_of("00001", (1, 2), *[(0.1, 32)] * 2),
    ]
    results = population(reports, [("00000", 2, "00001", 2)])
    experiment = experiment_with({"kind": "constant"})
    alone = scheduled_experiment(experiment, lineage_schedule(results, best_trial(results)))
    assert alone.experiment.trial.seed == experiment.trial_with({}, "00001").seed
    assert "00001, 00000 trained the weights in turn" in " ".join(alone.notes)
    assert "that of 00001" in " ".join(alone.notes)


@pytest.mark.parametrize(
    "kind", ["constant", "cosine", "piecewise", "warmup", "step", "one_cycle", "triangular"]
)
def test_where_the_rate_never_changed_the_schedule_stays(kind: str) -> None:
    fields = {"multipliers": {"2": 0.1}} if kind == "piecewise" else {}
    alone = scheduled({"kind": kind, **fields}, rates=[0.2] * 4)
    assert (
        alone.experiment.trial.schedule == experiment_with({"kind": kind, **fields}).trial.schedule
    )
    assert alone.experiment.trial.optimizer.lr == 0.2
    assert alone.notes == ("The lineage changed no hyperparameter.",)


@pytest.mark.parametrize("kind", ["one_cycle", "warmup"])
def test_a_momentum_that_no_longer_moves_is_told(kind: str) -> None:
    fields = {"then": {"kind": "one_cycle"}} if kind == "warmup" else {}
    told = f"The schedule ({kind}) also moved the momentum, which is left at its own value here."
    assert told in scheduled({"kind": kind, **fields}).notes
    assert told not in scheduled({"kind": kind, **fields}, rates=[0.2] * 4).notes


def test_of_a_cosine_each_epoch_holds_the_mean() -> None:
    alone = scheduled({"kind": "cosine"})
    expected = [
        rate * fmean((1 + math.cos(math.pi * (epoch + i / STEPS) / 4)) / 2 for i in range(STEPS))
        for epoch, rate in enumerate(RATES)
    ]
    assert rates_of(alone.experiment) == [pytest.approx([rate] * STEPS) for rate in expected]
    assert "The schedule (cosine) changed the learning rate within epochs" in alone.notes[0]
    assert "approximation" in alone.notes[0]


def test_a_cosine_that_was_left_early_keeps_its_planned_end() -> None:
    alone = scheduled({"kind": "cosine"}, [0.1] * 2, [32] * 2, [2, 1])
    assert alone.experiment.trial.epochs == 2
    whole = scheduled({"kind": "cosine"}, [0.1] * 4).experiment
    means = [fmean(rates) for rates in rates_of(whole)[:2]]
    assert [fmean(rates) for rates in rates_of(alone.experiment)] == pytest.approx(means)
    assert any("2 epochs, the age of the best weights, not 4" in note for note in alone.notes)


def test_a_ramp_stays_a_ramp() -> None:
    ramp = {"kind": "warmup", "epochs": 1.5, "start_factor": 0.2}
    alone = scheduled(ramp)
    expected = [
        [rate * min(1, 0.2 + 0.8 * (epoch + i / STEPS) / 1.5) for i in range(STEPS)]
        for epoch, rate in enumerate(RATES)
    ]
    assert rates_of(alone.experiment) == [pytest.approx(rates) for rates in expected]
    assert alone.notes == ()  # nothing is approximate


def test_multipliers_of_the_file_are_taken_in() -> None:
    alone = scheduled({"kind": "piecewise", "multipliers": {"1": 0.5}})
    schedule = alone.experiment.trial.schedule.model_dump(exclude_none=True)
    assert schedule["rates"] == pytest.approx({0: 0.1, 1: 0.05, 2: 0.15})
    assert alone.notes == ()


@pytest.mark.parametrize("rates", [RATES, (0.1,) * 4])
def test_a_plateau_comes_where_it_came(rates: Sequence[float]) -> None:
    """Also where the rate was not changed: other weights would have other scores."""
    plateau = {"kind": "plateau", "factor": 0.5, "patience": 0}
    alone = scheduled(plateau, rates, losses=(2, 3, 1, 1))
    expected = [rates[0], rates[1], rates[2] / 2, rates[3] / 2]
    assert [row[0] for row in rates_of(alone.experiment)] == pytest.approx(expected)
    assert alone.experiment.trial.schedule.kind == "piecewise"
    assert not any("approximation" in note for note in alone.notes)


def test_a_plateau_that_never_came_is_constant() -> None:
    alone = scheduled({"kind": "plateau"}, rates=[0.2] * 4)
    assert alone.experiment.trial.schedule.kind == "constant"
    assert alone.experiment.trial.optimizer.lr == 0.2


def test_steps_are_counted_as_the_weights_saw_them() -> None:
    """In steps, and inside an epoch."""
    alone = scheduled({"kind": "piecewise", "multipliers": {"6": 0.5}, "unit": "step"})
    assert [row[0] for row in rates_of(alone.experiment)] == pytest.approx([0.1, 0.075, 0.15, 0.15])
    assert "(piecewise) changed the learning rate within epochs" in alone.notes[0]


def test_steps_mean_other_epochs_once_the_batch_size_changes() -> None:
    by_step = {"kind": "piecewise", "multipliers": {"8": 0.5}, "unit": "step"}
    same = scheduled(by_step, rates=[0.1] * 4).experiment.trial.schedule
    assert same == experiment_with(by_step).trial.schedule
    changed = scheduled(by_step, rates=[0.1] * 4, sizes=(32, 32, 64, 64)).experiment.trial.schedule
    assert changed.model_dump(exclude_none=True) == {
        "kind": "piecewise",
        "rates": {0: 0.1, 2: 0.05},
        "unit": "epoch",
    }


def test_what_cannot_have_a_schedule_keeps_its_last_value() -> None:
    alone = scheduled({"kind": "constant"}, sizes=(32, 64, 64, 128))
    assert alone.fixed == {"batch_size": 128}
    assert alone.experiment.trial.batch_size == 128
    assert alone.notes == (
        "No schedule can change batch_size: here the last value holds throughout.",
    )
    assert "#   batch_size: 32, 64 after epoch 1, 128 after epoch 3\n" in alone.to_yaml()
    assert alone.to_mapping()["fixed"] == {"batch_size": 128}
