"""Losses that torch does not have as these are needed.

Each is a mean over samples, also where they have weights, so that the micro-batches of a batch and
the shares of several workers add up to it. No hyperparameter is part of the state.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Weighted(nn.Module):
    """Has a weight for each class, or none."""

    class_weights: Tensor | None

    def __init__(self, class_weights: Sequence[float] | None) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)


class CrossEntropy(_Weighted):
    """Softmax cross-entropy; each class's share of a target is multiplied by its weight."""

    def __init__(self, label_smoothing: float, class_weights: Sequence[float] | None) -> None:
        super().__init__(class_weights)
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits [batch, classes, ...], class indices [batch, ...] -> scalar."""
        if self.class_weights is None:
            return functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)
        return functional.cross_entropy(
            outputs,
            targets,
            self.class_weights,
            reduction="none",
            label_smoothing=self.label_smoothing,
        ).mean()


class NegativeLogLikelihood(_Weighted):
    """Minus the log-probability of the target; multiplied by the weight of its class."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities [batch, classes, ...], class indices [batch, ...] -> scalar."""
        outputs = outputs.float()
        return functional.nll_loss(outputs, targets, self.class_weights, reduction="none").mean()


class BinaryCrossEntropy(nn.Module):
    """Sigmoid cross-entropy of two classes; the difference of their outputs is the logit."""

    def __init__(self, positive_weight: float) -> None:
        super().__init__()
        self.positive_weight = positive_weight

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs [batch, 2, ...], class indices [batch, ...] -> scalar."""
        first, second = outputs.float().unbind(1)
        logits, positive = second - first, targets.to(torch.float32)
        weights = 1 + (self.positive_weight - 1) * positive
        return (weights * functional.softplus(-logits) + (1 - positive) * logits).mean()


class Focal(_Weighted):
    """Cross-entropy times (1 - p) ** gamma, p being the probability of the target."""

    def __init__(
        self, gamma: float, alpha: float | None, class_weights: Sequence[float] | None
    ) -> None:
        super().__init__(class_weights)
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits [batch, classes, ...], class indices [batch, ...] -> scalar."""
        each = functional.cross_entropy(outputs.float(), targets, reduction="none")
        # The slope of x ** gamma is infinite at 0 where gamma is below 1.
        missed = torch.expm1(-each).neg().clamp_min(1e-7)
        each = missed**self.gamma * each
        if self.class_weights is not None:
            each = each * self.class_weights[targets]
        if self.alpha is not None:
            each = each * torch.where(targets == 1, self.alpha, 1 - self.alpha)
        return each.mean()


class CentreLoss(nn.Module):
    """Cross-entropy, and half the squared distance of each sample's features from its class's.

    The centres of the classes are state: they follow the features by a rate of their own.
    """

    centres: Tensor
    """[classes, width]."""

    def __init__(self, classes: int, weight: float, alpha: float) -> None:
        super().__init__()
        self.weight = weight
        self.alpha = alpha
        self.terms: dict[str, Tensor] = {}
        self.register_buffer("centres", torch.zeros(classes, 0))

    def prepare(self, features: Tensor) -> None:
        """Begin with centres of zero, as wide as the features [batch, ...] of a sample."""
        self.centres = features.new_zeros(
            len(self.centres), features[0].numel(), dtype=torch.float32
        )
        self._sums = self._no_sums()

    def forward(self, outputs: Tensor, targets: Tensor, features: Tensor) -> Tensor:
        """Logits [batch, classes], class indices [batch], features [batch, ...] -> scalar."""
        rows = features.flatten(1).float()
        distances = (rows - self.centres[targets]).square().sum(1)
        entropy = functional.cross_entropy(outputs, targets)
        centre = 0.5 * self.weight * distances.mean()
        self.terms = {"cross_entropy": entropy.detach(), "centre": centre.detach()}
        with torch.autocast(rows.device.type, enabled=False):
            counted = torch.cat([rows.detach(), rows.new_ones(len(rows), 1)], dim=1)
            classes = functional.one_hot(targets, len(self.centres)).to(counted)
            # As a product: adding by index is not deterministic on a GPU.
            self._sums += classes.T @ counted
        return entropy + centre

    def move(self, total: Callable[[Tensor], Tensor], *, counted: bool) -> None:
        """Move the centres by the features since the last call, those of a whole batch.

        Args:
            total: The sum of a tensor over all workers.
            counted: Whether the samples of this worker count.
        """
        sums, counts = total(self._sums if counted else self._no_sums()).tensor_split([-1], dim=1)
        self.centres += self.alpha * (sums - counts * self.centres) / (1 + counts)
        self._sums = self._no_sums()

    def _no_sums(self) -> Tensor:
        """Of the features of each class, and how many there were: [classes, width + 1]."""
        classes, width = self.centres.shape
        return self.centres.new_zeros(classes, width + 1)


class WeightedSum(nn.Module):
    """The weighted losses of several targets, added up."""

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        parted: Callable[[Tensor, Tensor], Mapping[str, tuple[Tensor, Tensor]]],
    ) -> None:
        """The losses and weights by the target's name; ``parted`` as `Task.parted`."""
        super().__init__()
        self.losses = dict(losses)
        self.weights = dict(weights)
        self.terms: dict[str, Tensor] = {}
        self._parted = parted
        self._registered = nn.ModuleList(losses.values())  # so that they move to the device

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs and targets [batch, columns] side by side -> scalar."""
        parted = self._parted(outputs, targets)
        terms = {
            name: self.weights[name] * loss(*parted[name]) for name, loss in self.losses.items()
        }
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()
