"""Losses of classification: by what a model says of the class of a sample, or of each position."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from raytune_pipe.base import MUTABLE, Component, NonNegative, Positive, Probability, Value
from raytune_pipe.components.losses_fit import (
    ClassWeights,
    Mixing,
    OutputLayer,
    require_task,
    require_two_classes,
    weights_of_classes,
)
from raytune_pipe.components.task import Task, TaskKind

if TYPE_CHECKING:
    from torch import nn

    from raytune_pipe.networks import losses


class CrossEntropy(Component):
    """Softmax cross-entropy, with label smoothing (Szegedy et al. 2016, arXiv:1512.00567)."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "losses"

    kind: Literal["cross_entropy"] = "cross_entropy"
    """Name of the loss."""
    label_smoothing: Annotated[Probability, MUTABLE] = 0.0
    """Share of the target that is spread evenly over all classes."""
    class_weights: ClassWeights = None
    """Multiplies the loss of the samples of each class, in order; balanced is n / (classes * count)
    for a class that count of the n training samples have, and equal, as null, is 1 for all. What
    label smoothing spreads has the weights of the classes that it goes to, as in torch. The mean is
    over samples, not over weights, so 1 on average keeps the meaning of the learning rate."""

    def build(self, task: Task) -> "nn.Module":
        """Module: logits [batch, classes, ...], class indices [batch, ...] -> scalar."""
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        weights = weights_of_classes(self.class_weights, task)
        return losses.CrossEntropy(self.label_smoothing, weights)

    def set_rates(self, module: "nn.Module") -> None:
        """Set label smoothing on the live module."""
        cast("losses.CrossEntropy", module).label_smoothing = self.label_smoothing

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"label_smoothing": cast("losses.CrossEntropy", module).label_smoothing}


class Nll(Component):
    """Negative log-likelihood, for a model of the user's that ends in log-probabilities."""

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    output_layer: ClassVar[OutputLayer] = "log_softmax"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "losses"

    kind: Literal["nll"] = "nll"
    """Name of the loss."""
    class_weights: ClassWeights = None
    """Multiplies the loss of the samples of each class, in order; balanced and equal are as in
    cross_entropy, null is 1 for all."""

    def build(self, task: Task) -> "nn.Module":
        """Module: log-probabilities [batch, classes, ...], class indices [batch, ...] -> scalar."""
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        return losses.NegativeLogLikelihood(weights_of_classes(self.class_weights, task))

    def set_rates(self, module: "nn.Module") -> None:
        """Set nothing: it has no mutable hyperparameter."""

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them: none."""
        return {}


class BinaryCrossEntropy(Component):
    """Sigmoid cross-entropy of two classes, the second of which counts as positive.

    The model has an output for each class, and their difference is the logit: without a weight
    this is the softmax cross-entropy. Where a sample may have several labels, each label is a
    target of two classes (see dataset parquet), and has this loss as a term of weighted_sum.
    """

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "losses"

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    """Name of the loss."""
    positive_weight: Annotated[Positive, MUTABLE] = 1.0
    """Multiplies the loss of the samples of the second class; above 1 where they are rare."""

    def build(self, task: Task) -> "nn.Module":
        """Module: outputs [batch, 2, ...], class indices [batch, ...] -> scalar."""
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        require_two_classes(self.kind, task)
        return losses.BinaryCrossEntropy(self.positive_weight)

    def set_rates(self, module: "nn.Module") -> None:
        """Set the weight on the live module."""
        cast("losses.BinaryCrossEntropy", module).positive_weight = self.positive_weight

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return {"positive_weight": cast("losses.BinaryCrossEntropy", module).positive_weight}


class Focal(Component):
    """Cross-entropy that well classified samples add little to (Lin et al. 2017, arXiv:1708.02002).

    Each sample's is multiplied by (1 - p) ** gamma, p being the probability of its class.
    """

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = False
    mixing: ClassVar[Mixing] = "losses"

    kind: Literal["focal"] = "focal"
    """Name of the loss."""
    gamma: Annotated[NonNegative, MUTABLE] = 2.0
    """How little they add; 0 is cross-entropy."""
    alpha: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, MUTABLE] = None
    """Of two classes: multiplies the loss of the second one's samples, and 1 - alpha those of the
    first; null is 1 for both."""
    class_weights: ClassWeights = None
    """Multiplies the loss of the samples of each class, in order; balanced and equal are as in
    cross_entropy, null is 1 for all."""

    def build(self, task: Task) -> "nn.Module":
        """Module: logits [batch, classes, ...], class indices [batch, ...] -> scalar."""
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        weights = weights_of_classes(self.class_weights, task)
        if self.alpha is not None:
            require_two_classes("focal with alpha", task)
        return losses.Focal(self.gamma, self.alpha, weights)

    def set_rates(self, module: "nn.Module") -> None:
        """Set gamma and alpha on the live module."""
        live = cast("losses.Focal", module)
        live.gamma, live.alpha = self.gamma, self.alpha

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        live = cast("losses.Focal", module)
        return {"gamma": live.gamma, "alpha": live.alpha}


class Centre(Component):
    """Cross-entropy plus a pull of features to the centre of their class (Wen et al. 2016, ECCV).

    The features are what goes into the model's output layer; the pull is half their mean squared
    distance from it. The centres begin at zero and are part of a checkpoint.
    """

    fits: ClassVar[frozenset[TaskKind]] = frozenset({"classification"})
    output_layer: ClassVar[OutputLayer] = "linear"
    needs_features: ClassVar[bool] = True
    mixing: ClassVar[Mixing] = "refused"

    kind: Literal["centre"] = "centre"
    """Name of the loss."""
    weight: Annotated[NonNegative, MUTABLE] = 0.01
    """Multiplies the pull."""
    alpha: Annotated[Probability, MUTABLE] = 0.5
    """Rate at which the centres follow the features of their class at each step."""

    def build(self, task: Task) -> "nn.Module":
        """Module: logits [batch, classes], class indices [batch], features [batch, ...] -> scalar.

        It is `prepare`d with features of the model before its first use.
        """
        from raytune_pipe.base import ConfigError
        from raytune_pipe.networks import losses

        require_task(self.kind, self.fits, task)
        if task.tokens is not None:
            raise ConfigError(
                "loss: centre must have one class for each sample, but the dataset's are tokens,"
                " with a class at each position; choose loss cross_entropy"
            )
        return losses.CentreLoss(task.outputs, self.weight, self.alpha)

    def set_rates(self, module: "nn.Module") -> None:
        """Set weight and rate on the live module."""
        live = cast("losses.CentreLoss", module)
        live.weight, live.alpha = self.weight, self.alpha

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        live = cast("losses.CentreLoss", module)
        return {"weight": live.weight, "alpha": live.alpha}
