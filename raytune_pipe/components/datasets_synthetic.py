"""Data drawn from a teacher network, so that the best loss there can be is known."""

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from raytune_pipe.base import Component, Count, CountOrZero, Fraction, Seed
from raytune_pipe.components.splits import HeldOut, split_data
from raytune_pipe.components.task import Data

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_VALUES = 10**9


class Synthetic(Component):
    """Gaussian inputs and the targets that a random teacher network gives them, with noise.

    The teacher is a network of relu layers; a deeper or wider one is harder to learn from a given
    number of samples, and one of depth 0 is linear. Regression: target = sqrt(1 - noise) teacher +
    sqrt(noise) gaussian, of variance 1, so that no model gets below a mean squared error of
    ``noise``. Classification: the teacher's largest output, but for a share ``noise`` of the labels
    that are another class, any with the same chance, so that none gets below a cross-entropy of
    -(1 - noise) ln(1 - noise) - noise ln(noise / (classes - 1)). `best_loss` gives the number.
    """

    kind: Literal["synthetic"] = "synthetic"
    """Name of the dataset."""
    task: Literal["classification", "regression"] = "classification"
    """What is asked of the teacher."""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 4
    """How many there are, in classification."""
    samples: Count = 2000
    """In all three parts together."""
    features: Count = 20
    """Width of the inputs, all independent, of mean 0 and deviation 1."""
    teacher_width: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Units of each of the teacher's hidden layers."""
    teacher_depth: Annotated[CountOrZero, Field(le=100)] = 1
    """How many hidden layers the teacher has; 0 is a linear teacher."""
    noise: Fraction = 0.1
    """Share of the target's variance that is noise, or of the labels that are wrong."""
    seed: Seed = 0
    """Fixes the teacher, the inputs and the noise."""
    split_seed: Seed = 0
    """Fixes which samples go where; the same for all trials."""
    validation_fraction: HeldOut = 0.2
    """Share of the samples that score the trials."""
    test_fraction: HeldOut = 0.2
    """Share of the samples that is kept for the end."""
    max_samples: Count | None = None
    """At most that many samples of the training part, each class in proportion; all by default."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for width in ("features", "teacher_width"):
            if (values := self.samples * getattr(self, width)) > MOST_VALUES:
                raise ValueError(
                    f"samples x {width} must be at most {MOST_VALUES:,}, but got {values:,};"
                    " lower one of them"
                )
        return self

    def load(self) -> Data:
        """Inputs [samples, features]; classes [samples], or targets [samples, 1]."""
        import numpy as np

        draw = np.random.default_rng(self.seed)
        inputs = draw.standard_normal((self.samples, self.features))
        outputs = self._taught(draw, inputs)
        if self.task == "regression":
            noise = draw.standard_normal(outputs.shape)
            targets = math.sqrt(1 - self.noise) * outputs + math.sqrt(self.noise) * noise
            return split_data(self, inputs, targets)
        true = outputs.argmax(axis=1)
        shifts = draw.integers(1, self.classes, self.samples)
        wrong = draw.random(self.samples) < self.noise
        return split_data(self, inputs, np.where(wrong, (true + shifts) % self.classes, true))

    def best_loss(self) -> float:
        """The lowest expected loss (mean squared error, or cross-entropy) of any model."""
        if self.task == "regression" or self.noise == 0:
            return self.noise
        wrong = self.noise * math.log(self.noise / (self.classes - 1))
        return -(1 - self.noise) * math.log(1 - self.noise) - wrong

    def _taught(self, draw: "np.random.Generator", inputs: "Array") -> "Array":
        """The teacher's outputs, each of mean 0 and variance 1 over the samples."""
        import numpy as np

        hidden = inputs
        for _ in range(self.teacher_depth):
            hidden = np.maximum(_layer(draw, hidden, self.teacher_width), 0)
        outputs = _layer(draw, hidden, self.classes if self.task == "classification" else 1)
        deviation = outputs.std(axis=0)
        # a narrow teacher may give the same output to all
        deviation[deviation == 0] = 1.0
        scaled: Array = (outputs - outputs.mean(axis=0)) / deviation
        return scaled


def _layer(draw: "np.random.Generator", inputs: "Array", width: int) -> "Array":
    """A linear layer that keeps the variance through a relu (He et al. 2015, arXiv:1502.01852)."""
    import numpy as np

    weights = draw.standard_normal((inputs.shape[1], width)) * np.sqrt(2 / inputs.shape[1])
    outputs: Array = inputs @ weights + 0.5 * draw.standard_normal(width)
    return outputs
