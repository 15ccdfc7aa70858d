import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from raytune_pipe.base import Component, members
from raytune_pipe.components.schedules import (
    Constant,
    Cosine,
    Piecewise,
    Plateau,
    Schedule,
    Warmup,
)
from raytune_pipe.components.schedules_cyclic import (
    CosineRestarts,
    OneCycle,
    Triangular,
    WarmupStableDecay,
)
from raytune_pipe.components.schedules_decay import (
    Exponential,
    Inverse,
    InverseSqrt,
    MultiStep,
    Polynomial,
    Sigmoid,
    Step,
)
from raytune_pipe.components.schedules_progress import Factors, Progress

EPOCHS = 200
BASE_LR = 0.05
MOMENTUM = 0.95

each_schedule = pytest.mark.parametrize(
    "member", members(Schedule), ids=lambda member: member.__name__
)


def example(member: type[Component]) -> Schedule:
    """With its defaults, or what it cannot do without."""
    required = {Piecewise: {"multipliers": {0: 1.0, 30: 0.1}}, MultiStep: {"milestones": (30, 60)}}
    return member.model_validate(required.get(member, {}))  # type: ignore[return-value]  # of the union


def progress(epoch: float, steps_per_epoch: int = 10, epochs: int = EPOCHS) -> Progress:
    return Progress(epoch, round(epoch * steps_per_epoch), epochs, steps_per_epoch, BASE_LR)


def rates(schedule: Schedule, scores: list[float]) -> list[tuple[float, float]]:
    """Learning rate and momentum in force in each epoch, given the scores of those before."""
    factors = [schedule.factors(progress(e), scores[:e]) for e in range(EPOCHS)]
    return [(BASE_LR * lr, MOMENTUM * momentum) for lr, momentum in factors]


def torch_rates(
    build: Callable[[SGD], LRScheduler], scores: list[float]
) -> list[tuple[float, float]]:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = SGD([weight], lr=BASE_LR, momentum=MOMENTUM)
    scheduler = build(optimizer)
    found = []
    for score in scores:
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(score)
        else:
            scheduler.step()
    return found


def score_curve(seed: int) -> list[float]:
    """A loss that falls, stalls and rises at random."""
    draw = random.Random(seed)
    score, curve = 2.0, []
    for _ in range(EPOCHS):
        score *= math.exp(draw.gauss(-0.01, 0.05))
        curve.append(score)
    return curve


PARITY: dict[str, tuple[Schedule, Callable[[SGD], LRScheduler]]] = {
    "constant": (Constant(), lambda o: LambdaLR(o, lambda _: 1.0)),
    "piecewise": (
        Piecewise(multipliers={0: 1.0, 60: 0.2, 120: 0.04, 160: 0.008}),
        lambda o: MultiStepLR(o, [60, 120, 160], gamma=0.2),
    ),
    "absolute": (
        Piecewise(rates={10: 0.1, 100: 0.01}),
        lambda o: LambdaLR(o, lambda e: 1.0 if e < 10 else 2.0 if e < 100 else 0.2),
    ),
    "steps": (
        Piecewise(multipliers={300: 0.5, 1001: 0.1}, unit="step"),
        lambda o: LambdaLR(o, lambda e: 1.0 if e < 30 else 0.5 if e <= 100 else 0.1),
    ),
    "cosine": (
        Cosine(final_factor=0.1),
        lambda o: CosineAnnealingLR(o, EPOCHS, eta_min=0.1 * BASE_LR),
    ),
    "plateau": (
        Plateau(factor=0.5, patience=3, threshold=0.01),
        lambda o: ReduceLROnPlateau(o, factor=0.5, patience=3, threshold=0.01, eps=0.0),
    ),
    "plateau with cooldown and floor": (
        Plateau(factor=0.3, patience=2, cooldown=4, floor=0.02),
        lambda o: ReduceLROnPlateau(
            o, factor=0.3, patience=2, cooldown=4, min_lr=0.02 * BASE_LR, eps=0.0
        ),
    ),
    "warmup": (
        Warmup(epochs=7, start_factor=0.2, then=Constant()),
        lambda o: LinearLR(o, start_factor=0.2, total_iters=7),
    ),
    "warmup to cosine": (
        Warmup(epochs=5, start_factor=0.01, then=Cosine()),
        lambda o: ChainedScheduler(
            [LinearLR(o, start_factor=0.01, total_iters=5), CosineAnnealingLR(o, EPOCHS)]
        ),
    ),
    "warmup to piecewise": (
        Warmup(epochs=5, then=Piecewise(multipliers={3: 0.5, 90: 0.05})),
        lambda o: ChainedScheduler(
            [
                LinearLR(o, start_factor=0.1, total_iters=5),
                MultiStepLR(o, [3], gamma=0.5),
                MultiStepLR(o, [90], gamma=0.1),
            ]
        ),
    ),
    "step": (Step(every=30, factor=0.3), lambda o: StepLR(o, 30, gamma=0.3)),
    "multi-step": (
        MultiStep(milestones=(20, 70, 71, 150), factor=0.4),
        lambda o: MultiStepLR(o, [20, 70, 71, 150], gamma=0.4),
    ),
    "exponential": (Exponential(factor=0.97), lambda o: ExponentialLR(o, 0.97)),
    "inverse": (
        Inverse(decay=0.05, power=0.75),
        lambda o: LambdaLR(o, lambda e: 1 / (1 + 0.05 * e) ** 0.75),
    ),
    "inverse square root": (
        InverseSqrt(hold=16),
        lambda o: LambdaLR(o, lambda e: 1.0 if e < 16 else 4 / math.sqrt(e)),
    ),
    "polynomial": (Polynomial(power=2.5), lambda o: PolynomialLR(o, EPOCHS, power=2.5)),
    "line": (
        Polynomial(final_factor=0.2),
        lambda o: LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=EPOCHS),
    ),
    "sigmoid": (
        Sigmoid(center=90, steepness=0.2),
        lambda o: LambdaLR(o, lambda e: 1 / (1 + math.exp(0.2 * (e - 90)))),
    ),
    "cosine with restarts": (
        CosineRestarts(period=30, final_factor=0.1),
        lambda o: CosineAnnealingWarmRestarts(o, 30, eta_min=0.1 * BASE_LR),
    ),
    "cosine with restarts that become longer": (
        CosineRestarts(period=7, growth=3),
        lambda o: CosineAnnealingWarmRestarts(o, 7, T_mult=3),
    ),
    # torch's cycle ends one step before its total, at the last step that it takes
    "one cycle": (
        OneCycle(peak_at=0.3, start_factor=0.04, final_factor=4e-6, momentum_factor=0.85 / 0.95),
        lambda o: OneCycleLR(o, BASE_LR, total_steps=EPOCHS + 1, pct_start=61 / 201),
    ),
    "one cycle of lines": (
        OneCycle(peak_at=0.5, start_factor=0.2, final_factor=0.1, shape="linear"),
        lambda o: OneCycleLR(
            o,
            BASE_LR,
            total_steps=EPOCHS + 1,
            pct_start=101 / 201,
            anneal_strategy="linear",
            base_momentum=0.9 * MOMENTUM,
            div_factor=5.0,
            final_div_factor=2.0,
        ),
    ),
    "one cycle of the rate alone": (
        OneCycle(momentum_factor=1.0),
        lambda o: OneCycleLR(
            o, BASE_LR, total_steps=EPOCHS + 1, pct_start=61 / 201, cycle_momentum=False
        ),
    ),
    "triangular": (
        Triangular(period=40, low_factor=0.1),
        lambda o: CyclicLR(o, 0.1 * BASE_LR, BASE_LR, step_size_up=20, cycle_momentum=False),
    ),
    "triangular2": (
        Triangular(period=40, rise=0.25, low_factor=0.0, shrinkage=0.5),
        lambda o: CyclicLR(
            o, 0.0, BASE_LR, 10, step_size_down=30, mode="triangular2", cycle_momentum=False
        ),
    ),
    "warm-up, stable, decay": (
        WarmupStableDecay(warmup=0.1, decay=0.3, start_factor=0.2, final_factor=0.05),
        lambda o: SequentialLR(
            o,
            [
                LinearLR(o, start_factor=0.2, total_iters=20),
                ConstantLR(o, factor=1.0),
                LinearLR(o, start_factor=1.0, end_factor=0.05, total_iters=60),
            ],
            milestones=[20, 140],
        ),
    ),
    "warm-up, stable, half a cosine": (
        WarmupStableDecay(warmup=0.05, decay=0.5, shape="cosine"),
        lambda o: SequentialLR(
            o,
            [
                LinearLR(o, start_factor=0.1, total_iters=10),
                ConstantLR(o, factor=1.0),
                CosineAnnealingLR(o, 100),
            ],
            milestones=[10, 100],
        ),
    ),
    "exponential warmup": (
        Warmup(epochs=10, start_factor=0.01, shape="exponential", then=Constant()),
        lambda o: LambdaLR(o, lambda e: 0.01 ** (1 - e / 10) if e < 10 else 1.0),
    ),
    "schedule of the transformer": (
        Warmup(epochs=25, start_factor=1e-15, then=InverseSqrt(hold=25)),
        lambda o: LambdaLR(o, lambda e: 5 * min(e**-0.5, e * 25**-1.5) if e else 1e-15),
    ),
}


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, seed) for name in PARITY for seed in range(5 if "plateau" in name else 1)],
)
def test_equals_torch_on_200_epochs(name: str, seed: int) -> None:
    schedule, build = PARITY[name]
    scores = score_curve(seed)
    for own, reference in zip(rates(schedule, scores), torch_rates(build, scores), strict=True):
        assert own == pytest.approx(reference, rel=1e-9, abs=1e-13)


@each_schedule
@settings(max_examples=50)
@given(
    epoch=st.floats(0, EPOCHS),
    scores=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=EPOCHS),
)
def test_factors_are_finite_and_not_negative(
    member: type[Component], epoch: float, scores: list[float]
) -> None:
    factors: Factors = example(member).factors(progress(epoch), scores)
    assert all(math.isfinite(factor) and factor >= 0 for factor in factors)


@each_schedule
def test_more_planned_epochs_change_what_says_so(member: type[Component]) -> None:
    schedule = example(member)
    longer = [schedule.factors(progress(e, epochs=2 * EPOCHS), []) for e in range(EPOCHS)]
    planned = [schedule.factors(progress(e), []) for e in range(EPOCHS)]
    assert schedule.depends_on_epochs is (longer != planned)


@each_schedule
def test_warmup_depends_on_epochs_as_what_it_wraps(member: type[Component]) -> None:
    schedule = example(member)
    assert Warmup(then=schedule).depends_on_epochs is schedule.depends_on_epochs


@each_schedule
def test_every_step_of_an_epoch_and_the_time_past_the_plan(member: type[Component]) -> None:
    """Between two epochs nothing leaps, but where a schedule is made of leaps; then all holds."""
    schedule = example(member)
    assert all(0 <= factor <= 1 for factor in schedule.factors(progress(EPOCHS + 7.5), []))
    fine = [schedule.factors(progress(e / 50), []).lr for e in range(50 * EPOCHS)]
    leaps = sum(abs(after - before) > 0.05 for before, after in pairwise(fine))
    expected = {Piecewise: 1, Step: 2, MultiStep: 2, CosineRestarts: EPOCHS // 10 - 1}
    assert leaps == expected.get(member, 0)


def test_plateau_counts_a_nan_as_no_improvement() -> None:
    schedule = Plateau(factor=0.5, patience=1)
    nans = [1.0, math.nan, math.nan]
    assert schedule.factors(progress(3), nans).lr == 0.5
    assert schedule.factors(progress(4), [*nans, 0.9, 0.8]).lr == 0.5


def test_cosine_moves_within_an_epoch_and_stays_at_its_end() -> None:
    middle = Cosine(final_factor=0.2).factors(progress(EPOCHS / 2), [])
    assert middle.lr == pytest.approx(0.6)
    assert Cosine(final_factor=0.2).factors(progress(EPOCHS + 3), []).lr == 0.2


@each_schedule
def test_warmup_multiplies_the_rate_of_what_it_wraps_and_leaves_its_momentum(
    member: type[Component],
) -> None:
    """Also where it is longer than the trial: then its ramp is not over at the end."""
    then, scores = example(member), score_curve(0)
    for planned, length in ((EPOCHS, 60), (1, 5)):
        for index in range(10 * planned):
            at = progress(index / 10, epochs=planned)
            seen = scores[: int(at.epoch)]
            own, ramp = then.factors(at, seen), 0.2 + 0.8 * min(at.epoch / length, 1)
            found = Warmup(epochs=length, start_factor=0.2, then=then).factors(at, seen)
            assert found.lr == pytest.approx(ramp * own.lr, abs=1e-15)
            assert found.momentum == own.momentum


def test_a_trial_of_one_epoch_passes_through_what_depends_on_the_plan() -> None:
    middle = [
        schedule.factors(progress(0.5, epochs=1), [])
        for schedule in (
            Cosine(),
            Polynomial(power=2.0),
            OneCycle(peak_at=0.5, momentum_factor=0.8),
            WarmupStableDecay(warmup=1.0, decay=0.0, start_factor=0.2),
        )
    ]
    expected = [Factors(0.5), Factors(0.25), Factors(1.0, 0.8), Factors(0.6)]
    for found, wanted in zip(middle, expected, strict=True):
        assert found == pytest.approx(wanted)


def test_a_rate_is_what_it_says_under_any_base_rate() -> None:
    schedule = Piecewise(rates={0: 0.3, 2: 0.02})
    for base_lr in (1e-5, 0.05, 7.0):
        for epoch, rate in ((0.0, 0.3), (1.9, 0.3), (2.0, 0.02)):
            at = progress(epoch)._replace(base_lr=base_lr)
            assert base_lr * schedule.factors(at, []).lr == pytest.approx(rate)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "must have exactly one of multipliers and rates, but got neither"),
        ({"rates": {0: 0.1}, "multipliers": {0: 1.0}}, "but got both"),
        ({"rates": {}}, "at least 1 item"),
        ({"rates": {-1: 0.1}}, "epochs must be at least 0, but got -1"),
        ({"rates": {0: 0.0}}, "greater than 0"),
    ],
)
def test_piecewise_refuses(fields: dict[str, dict[int, float]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Piecewise.model_validate(fields)


def test_piecewise_reads_its_keys_from_json() -> None:
    schedule = Piecewise.model_validate_json('{"rates": {"0": 0.1, "30": 0.01}}')
    assert schedule.rates == {0: 0.1, 30: 0.01}
