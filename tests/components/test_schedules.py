import math
import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
)

from raytune_pipe.base import Component, members
from raytune_pipe.components.schedules import (
    Constant,
    Cosine,
    Factors,
    Piecewise,
    Plateau,
    Progress,
    Schedule,
    Warmup,
)

EPOCHS = 200
BASE_LR = 0.05


def progress(epoch: float, steps_per_epoch: int = 10) -> Progress:
    return Progress(epoch, round(epoch * steps_per_epoch), EPOCHS, steps_per_epoch, BASE_LR)


def rates(schedule: Schedule, scores: list[float]) -> list[float]:
    """The rate in force in each epoch, given the scores of those before."""
    return [BASE_LR * schedule.factors(progress(e), scores[:e]).lr for e in range(EPOCHS)]


def torch_rates(build: Callable[[SGD], LRScheduler], scores: list[float]) -> list[float]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE_LR)
    scheduler = build(optimizer)
    found = []
    for score in scores:
        found.append(optimizer.param_groups[0]["lr"])
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
}


@pytest.mark.parametrize("name", PARITY)
@pytest.mark.parametrize("seed", range(5))
def test_equals_torch_on_200_epochs(name: str, seed: int) -> None:
    schedule, build = PARITY[name]
    scores = score_curve(seed)
    assert rates(schedule, scores) == pytest.approx(torch_rates(build, scores), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("member", members(Schedule), ids=lambda member: member.__name__)
@settings(max_examples=50)
@given(
    epoch=st.floats(0, EPOCHS),
    scores=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=EPOCHS),
)
def test_factors_are_finite_and_not_negative(
    member: type[Component], epoch: float, scores: list[float]
) -> None:
    fields = {"multipliers": {"0": 1.0, "30": 0.1}} if member is Piecewise else {}
    schedule = member.model_validate(fields, strict=False)
    factors: Factors = schedule.factors(progress(epoch), scores)  # type: ignore[attr-defined]  # of the union
    assert all(math.isfinite(factor) and factor >= 0 for factor in factors)


def test_plateau_counts_a_nan_as_no_improvement() -> None:
    schedule = Plateau(factor=0.5, patience=1)
    nans = [1.0, math.nan, math.nan]
    assert schedule.factors(progress(3), nans).lr == 0.5
    assert schedule.factors(progress(4), [*nans, 0.9, 0.8]).lr == 0.5


def test_cosine_moves_within_an_epoch_and_stays_at_its_end() -> None:
    middle = Cosine(final_factor=0.2).factors(progress(EPOCHS / 2), [])
    assert middle.lr == pytest.approx(0.6)
    assert Cosine(final_factor=0.2).factors(progress(EPOCHS + 3), []).lr == 0.2


def test_warmup_passes_the_momentum_factor_on() -> None:
    assert Warmup(then=Constant()).factors(progress(0), []) == Factors(lr=0.1, momentum=1.0)


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
