"""Whether a trial's network can learn a small sample by heart once nothing keeps it from that."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from raytune_pipe.components.task import Split, Task
from raytune_pipe.training.seeding import seeded_generator
from raytune_pipe.training.trial_check_findings import Finding, RangeTest, Verdict
from raytune_pipe.training.trial_check_runs import Subject
from raytune_pipe.training.trial_check_start import parts_of

SAMPLES = 64
POSITIONS = 512
"""Of sequences so many tokens are learned, in two or more of them."""
STEPS = 150
MORE_STEPS = 450
"""Of the rate that came furthest."""
LOOK_EVERY = 10
BY_HEART = 0.05
"""Share of the loss of the best constant outputs that counts as near zero."""
NEARLY = 0.3
"""Up to here a network that is slow is not told from one that cannot."""

Array = np.ndarray


class Attempt(NamedTuple):
    """How far a network came at one learning rate."""

    rate: float
    steps: int
    share: float
    """What is left of the loss of the best constant: 0 is all learned; infinite where it broke."""


def check_overfitting(subject: Subject, test: RangeTest) -> Finding:
    """Train on a small sample until its loss is near zero, at several rates if need be."""
    sample = small_sample(subject.data.train, subject.data.task, subject.trial.seed)
    plain = subject.unregularized().on(sample)
    constant, floor = bounds(subject.data.task, sample)
    if not constant > floor:
        return Finding(
            "overfitting",
            "fail",
            "the inputs of a small sample are all alike",
            "inputs that tell one sample from another",
            "inputs that were lost on the way from the file to the network",
            "look at the inputs as the dataset gives them",
        )
    best: Attempt | None = None
    rates = list(rates_to_try(subject.trial.optimizer.lr, test))
    for rate in rates:
        attempt = _attempt(plain, rate, STEPS, constant, floor)
        best = attempt if best is None or attempt.share < best.share else best
        if best.share <= BY_HEART:
            break
    if best is None or best.share > BY_HEART:
        again = best.rate if best else rates[0]
        best = _attempt(plain, again, STEPS + MORE_STEPS, constant, floor)
    return _finding(best, len(sample.inputs), len(rates), floor / constant)


def small_sample(train: Split, task: Task, seed: int) -> Split:
    """A few samples drawn by the seed, of each class as many; of sequences two or more."""
    targets = train.targets
    order = torch.randperm(len(targets), generator=seeded_generator(seed, "check", "sample"))
    samples = SAMPLES
    if task.tokens is not None:
        samples = max(2, min(SAMPLES, POSITIONS // max(1, targets.shape[1])))
    elif task.kind == "classification":
        order = order[_turn(targets.cpu()[order]).argsort(stable=True)]
    rows = order[:samples].sort().values.to(targets.device)
    return Split(train.inputs[rows], targets[rows])


def _turn(classes: Tensor) -> Tensor:
    """For each sample, how many of its class came before it."""
    turns = torch.zeros_like(classes)
    for one in classes.unique().tolist():  # type: ignore[no-untyped-call]  # torch has no type
        of_class = classes == one
        turns[of_class] = torch.arange(int(of_class.sum()))
    return turns


def rates_to_try(own: float, test: RangeTest) -> Iterator[float]:
    """The trial's own rate, and what the range test suggests; without that decades about it."""
    yield own
    if test.low is None or test.steepest is None or test.high is None:
        yield from (own / 10, own * 10)
        return
    yield from (test.steepest, math.sqrt(test.steepest * test.high), test.low)


def bounds(task: Task, sample: Split) -> tuple[float, float]:
    """The loss of the best constant outputs, and the least that any network can come to.

    The least is above zero where the same input has several targets. A token can be known by those
    before it alone.
    """
    parts = list(
        parts_of(task, torch.zeros(len(sample.inputs), task.outputs), sample.targets.cpu())
    )
    groups = _same_inputs(sample.inputs.cpu(), task)
    everything = np.zeros_like(groups)
    constant = floor = 0.0
    for part in parts:
        spread = _entropy if part.task.kind == "classification" else _variance
        targets = part.targets.numpy()
        constant += spread(targets.reshape(len(groups), -1), everything)
        floor += spread(targets.reshape(len(groups), -1), groups)
    return constant, floor


def _same_inputs(inputs: Tensor, task: Task) -> "Array":
    """A number for each target, the same where nothing in the inputs tells them apart."""
    rows = inputs.numpy()
    if task.tokens is None:
        return np.unique(rows.reshape(len(rows), -1), axis=0, return_inverse=True)[1].reshape(-1)
    seen: dict[bytes, int] = {}
    prefixes = [row[: at + 1].tobytes() for row in rows for at in range(len(row))]
    return np.array([seen.setdefault(prefix, len(seen)) for prefix in prefixes])


def _entropy(targets: "Array", groups: "Array") -> float:
    """Mean entropy of the classes within each group, in nats."""
    pairs = np.unique(np.stack([groups, targets[:, 0]]), axis=1, return_counts=True)
    sizes = np.bincount(groups)
    share = pairs[1] / sizes[pairs[0][0].astype(int)]
    return float(-(pairs[1] * np.log(share)).sum() / len(groups))


def _variance(targets: "Array", groups: "Array") -> float:
    """Mean variance of the targets within each group."""
    sizes = np.bincount(groups)[:, None]
    sums = np.zeros((len(sizes), targets.shape[1]))
    np.add.at(sums, groups, targets)
    return float(((targets - (sums / sizes)[groups]) ** 2).mean())


def _attempt(plain: Subject, rate: float, steps: int, constant: float, floor: float) -> Attempt:
    run = plain.run()
    share, step = math.inf, 0
    for step, batch in enumerate(islice(run.batches(), steps), 1):
        if not math.isfinite(run.step(batch, rate)):
            return Attempt(rate, step, math.inf)
        if step % LOOK_EVERY == 0:
            loss = run.plain_loss(plain.data.train)
            share = (loss - floor) / (constant - floor)
            if share <= BY_HEART or not math.isfinite(loss):
                break
    return Attempt(rate, step, share if math.isfinite(share) else math.inf)


def _finding(best: Attempt, samples: int, rates: int, contradiction: float) -> Finding:
    name = "overfitting"
    expected = (
        f"{samples} samples learned by heart without regularization: at most {BY_HEART:.0%} of the"
        " loss of the best constant left"
    )
    if best.share <= BY_HEART:
        found = f"{best.share:.1%} of the loss left after {best.steps} steps at {best.rate:.2g}"
        return Finding(name, "ok", found, expected)
    found = (
        f"{best.share:.0%} of the loss left after {best.steps} steps at {best.rate:.2g}, the best"
    )
    found += f" of {rates} rates"
    if math.isinf(best.share):
        found = f"the loss did not stay finite at any of {rates} rates"
        suspect = "an initialization or inputs far too large, or a loss that does not fit"
        mend = "normalize the inputs; choose another initializer; look at the loss"
    elif best.share > 0.95:
        suspect = (
            "a dead initialization, gradients that vanish as in many sigmoid layers, a loss that"
            " does not fit"
        )
        mend = "choose initializer he_normal and activation relu; see the other checks"
    elif contradiction > BY_HEART:
        suspect = "labels: the same inputs have different targets"
        mend = "look at the samples that are in the data more than once"
    else:
        suspect = "a network too small or too deep for its activation, or labels that contradict"
        mend = "widen the network; try relu or a norm; look at samples beside their labels"
    verdict: Verdict = "warn" if best.share <= NEARLY else "fail"
    return Finding(name, verdict, found, expected, suspect, mend)
