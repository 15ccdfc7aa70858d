"""Whether the inputs of a trial's data say anything of its targets, on samples not trained on.

A network learns shuffled labels by heart as well as true ones, so only held-out samples can tell.
Three probes predict them: the trial's own network after a short training, on the validation part;
the nearest neighbors and a linear fit, each fold of the training and the validation part from the
others. (For tokens: which one usually follows.) Where targets have nothing to do with inputs, the
correlation of any prediction with them is zero, give or take what a random assignment of the
targets gives (Strasser and Weber 1999): so hard data is told from shuffled labels where there are
enough samples, and elsewhere nothing is claimed.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from raytune_pipe.components.task import Split, Task
from raytune_pipe.training.evaluation import predict
from raytune_pipe.training.trial_check_findings import Finding, RangeTest, Verdict, worst
from raytune_pipe.training.trial_check_runs import ShortRun, Subject, drawn, shuffled
from raytune_pipe.training.trial_check_start import Part, parts_of

STEPS = 100
"""Of the trial's own network."""
POOLED = 4000
"""Samples that neighbors and linear fit learn from and predict."""
FOLDS = 5
HELD_OUT = 1000
"""Samples that the network predicts."""
POSITIONS = 4000
"""Of sequences so many tokens are predicted."""
MOST_TOKENS = 4000
"""Whose pairs fit into a table."""
FEATURES = 256
"""Inputs of more numbers are projected at random to so many."""
NEIGHBORS = 5
RIDGE = 0.1
SURE, TRACE = 4.0, 3.0
"""Standard deviations of a random assignment: seen for sure; too many for shuffled labels."""
ALIKE = 0.5
"""Share of the best probe's correlation that the network must have, where few samples tell."""
SEEN_IF_THERE = 0.3
"""Correlation that must be seen for sure if it is there, before labels are suspected: inputs that
account for a tenth of the targets' variance are no fault."""

Predictor = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Known features and targets, and features whose targets are to be predicted -> predictions."""


class Association(NamedTuple):
    """How predictions go with targets."""

    correlation: float
    deviation: float
    """Of the correlation under a random assignment of the targets."""

    @property
    def z(self) -> float:
        """The correlation in such deviations."""
        return self.correlation / self.deviation


def associated(predictions: Tensor, targets: Tensor) -> Association:
    """Correlation of two matrices [samples, columns], and its permutation variance.

    Both are centered; it is their inner product over the product of their norms. Under a random
    assignment of rows its mean is 0, its variance the sum of (p_i . t_j)^2 over n - 1.
    """
    p = (predictions - predictions.mean(0)).double()
    t = (targets - targets.mean(0)).double()
    norms = (p.norm() * t.norm()).item()
    if not norms > 1e-9 * len(p):
        return Association(0.0, math.inf)
    variance = (p @ t.T).square().sum().item() / (len(p) - 1)
    return Association((p * t).sum().item() / norms, math.sqrt(variance) / norms)


def check_signal(subject: Subject, test: RangeTest) -> tuple[Finding, ShortRun]:
    """Compare predictions of the validation part with its targets; also the run that made them."""
    run, rate = subject.run(), usable_rate(subject.trial.optimizer.lr, test)
    task, train, seed = subject.data.task, subject.data.train, subject.trial.seed
    for batch in islice(run.batches(), STEPS):
        if not math.isfinite(run.step(batch, rate)):
            break
    enough = HELD_OUT if task.tokens is None else _places(task) // train.targets.shape[1] + 1
    held_out = drawn(subject.data.validation, enough, seed, "check", "held out")
    outputs = predict(run.model, held_out.inputs)
    known = drawn(train, POOLED, seed, "check", "known") if task.tokens else _pooled(subject)
    judged = [
        _judged(part.name, dict(_probes(part, known, held_out, task)))
        for part in parts_of(task, outputs, held_out.targets)
    ]
    loss = task.plain_loss(outputs, held_out.targets).item()
    return _finding(
        judged, f"val_loss {loss:.3g} after {len(run.step_seconds)} steps at {rate:.2g}"
    ), run


def _pooled(subject: Subject) -> Split:
    """Samples of the training and the validation part, in a random order."""
    train, validation, seed = subject.data.train, subject.data.validation, subject.trial.seed
    share = min(1.0, POOLED / (len(train.inputs) + len(validation.inputs)))
    some = [
        drawn(part, math.ceil(share * len(part.inputs)), seed, "check", "pooled")
        for part in (train, validation)
    ]
    both = Split(*(torch.cat(pair) for pair in zip(*some, strict=True)))
    return shuffled(both, seed, "check", "folds")


def usable_rate(own: float, test: RangeTest) -> float:
    """The trial's own rate if the loss falls there, else where it falls fastest."""
    if test.low is None or test.high is None or test.steepest is None:
        return own
    return own if test.low <= own <= test.high else test.steepest


def _probes(
    part: Part, known: Split, held_out: Split, task: Task
) -> Iterator[tuple[str, Association]]:
    """What each probe's predictions of one task have to do with its targets."""
    wanted = _columns(part, part.targets)
    own = part.outputs.softmax(1) if part.task.kind == "classification" else part.outputs
    if task.tokens is not None:
        own = own.movedim(1, -1).flatten(0, -2)
        own, wanted = own[: _places(task)], wanted[: _places(task)]
        yield "network", associated(own, wanted)
        if task.tokens <= MOST_TOKENS:
            latest = held_out.inputs.flatten()[: _places(task)]
            yield "usual next token", associated(_follows(known, task.tokens)[latest], wanted)
        return
    yield "network", associated(own.flatten(1), wanted)
    nothing = torch.zeros(1, task.outputs, device=known.inputs.device)
    every = {one.name: one for one in parts_of(task, nothing, known.targets)}
    targets = _columns(every[part.name], every[part.name].targets)
    features = _features(known.inputs)
    yield "nearest neighbors", associated(_in_folds(_by_neighbors, features, targets), targets)
    yield "linear fit", associated(_in_folds(_by_line, features, targets), targets)


def _places(task: Task) -> int:
    """How many positions are predicted: of a large vocabulary fewer, as each is a row of it."""
    return max(200, min(POSITIONS, POSITIONS * 1000 // task.outputs))


def _in_folds(predicted: Predictor, features: Tensor, targets: Tensor) -> Tensor:
    """Predictions of each fold's targets from the other folds."""
    folds = torch.arange(len(features), device=features.device) % FOLDS
    predictions = torch.empty_like(targets)
    for fold in range(FOLDS):
        held_out = folds == fold
        predictions[held_out] = predicted(
            features[~held_out], targets[~held_out], features[held_out]
        )
    return predictions


def _columns(part: Part, targets: Tensor) -> Tensor:
    """The targets as numbers [samples or positions, columns]: of classes one for each."""
    if part.task.kind == "classification":
        return functional.one_hot(targets.flatten(), part.task.outputs).double()
    return targets.double()


def _features(inputs: Tensor) -> Tensor:
    """Standardized numbers [samples, features], of large inputs some random projections."""
    features = inputs.flatten(1).double()
    features = (features - features.mean(0)) / features.std(0).clamp_min(1e-9)
    if features.shape[1] <= FEATURES:
        return features
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(features.shape[1], FEATURES, generator=generator, dtype=torch.float64)
    return features @ directions.to(features.device) / math.sqrt(features.shape[1])


def _by_neighbors(near: Tensor, learned: Tensor, far: Tensor) -> Tensor:
    nearest = torch.cdist(far, near).topk(min(NEIGHBORS, len(near)), largest=False).indices
    return learned[nearest].mean(1)


def _by_line(near: Tensor, learned: Tensor, far: Tensor) -> Tensor:
    covariance = near.T @ near / len(near)
    penalty = RIDGE * torch.eye(len(covariance), dtype=near.dtype, device=near.device)
    products = near.T @ (learned - learned.mean(0)) / len(near)
    weights: Tensor = torch.linalg.solve(covariance + penalty, products)
    return far @ weights


def _follows(known: Split, tokens: int) -> Tensor:
    """How often each token follows each other one, [tokens, tokens]; rows add up to 1."""
    pairs = known.inputs.flatten() * tokens + known.targets.flatten()
    counts = torch.bincount(pairs, minlength=tokens * tokens).view(tokens, tokens).double() + 1e-3
    return counts / counts.sum(1, keepdim=True)


class _Judged(NamedTuple):
    verdict: Verdict
    words: str
    fault: str
    """``none``, ``labels``, ``network``, ``few``."""


def _judged(name: str, probes: dict[str, Association]) -> _Judged:
    chance = min(SURE * probe.deviation for probe in probes.values())
    words = ", ".join(f"{probe} {each.correlation:.2f}" for probe, each in probes.items())
    words = f"{name}: {words}" if name else words
    words += f" (by chance up to {chance:.2f})" if math.isfinite(chance) else ""
    highest = max(probe.z for probe in probes.values())
    network, others = probes["network"], max(each.correlation for each in probes.values())
    if highest >= SURE and (network.z >= SURE or network.correlation >= ALIKE * others):
        return _Judged("ok", words, "none")
    if highest >= SURE:
        return _Judged("warn", words, "network")
    if highest < TRACE and chance <= SEEN_IF_THERE:
        return _Judged("fail", words, "labels")
    return _Judged("warn", words, "few")


_FAULTS = {
    "labels": (
        "labels: shuffled, or of other samples than the inputs; else inputs that say nothing",
        "look at samples beside their labels; check the order in which both are read",
    ),
    "network": (
        "a network or learning rate that does not learn what simple methods do",
        "compare how the network takes its inputs; see the other checks",
    ),
    "few": (
        "hard data, or too few validation samples to tell it from shuffled labels",
        "look at samples beside their labels; give a larger validation part",
    ),
}


def _finding(parts: list[_Judged], trained: str) -> Finding:
    found = "correlation with the validation targets: " + "; ".join(part.words for part in parts)
    expected = "predictions of samples not trained on that go with their targets"
    verdict = worst(part.verdict for part in parts)
    name, found = "signal", f"{found}; {trained}"
    if verdict == "ok":
        return Finding(name, "ok", found, expected)
    fault = next(part.fault for part in parts if part.verdict == verdict)
    return Finding(name, verdict, found, expected, *_FAULTS[fault])
