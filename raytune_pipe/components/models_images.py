"""Models of images: plain convolutions, residual blocks."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from raytune_pipe.base import MUTABLE, Component, ConfigError, Count, Fraction, Value
from raytune_pipe.components.activations import Activation, activation_type
from raytune_pipe.components.models_rates import Rates, rates_in_force, require_one_each, set_rates
from raytune_pipe.components.task import Task

if TYPE_CHECKING:
    from torch import nn

KernelSize = Literal[1, 3, 5, 7, "1x7", "7x1"]
"""Pixels: of a square by its side, else height x width."""


class Cnn(Component):
    """Convolutional network: its layers, the mean over all pixels, a linear output."""

    kind: Literal["cnn"] = "cnn"
    """Name of the model."""
    filters: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64)
    """Channels that each convolution gives."""
    kernel_size: KernelSize | Annotated[tuple[KernelSize, ...], Field(min_length=1)] = 3
    """Pixels that each convolution sees: 1, 3, 5, 7, 1x7 or 7x1; one for all, or a list."""
    pooling: Literal["max", "average", "none"] = "max"
    """How each layer halves the image."""
    norm: Literal["none", "batch", "group"] = "batch"
    """Between each convolution and its activation (group: Wu and He 2018, arXiv:1803.08494)."""
    activation: Activation = "relu"
    """After each convolution and its norm."""
    spatial_dropout: Annotated[Rates, MUTABLE] = 0.0
    """Share of each layer's channels that is dropped in training, each as a whole; one for all, or
    a list (Tompson et al. 2015, arXiv:1411.4280)."""
    dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the pooled features that is dropped before the output in training."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        layers = len(self.filters)
        if isinstance(self.kernel_size, tuple) and len(self.kernel_size) != layers:
            raise ValueError(
                f"kernel_size must be one size, or a list of one for each of the {layers} layers,"
                f" but got {len(self.kernel_size)}"
            )
        require_one_each("spatial_dropout", self.spatial_dropout, layers)
        return self

    def build(self, task: Task) -> "nn.Module":
        """Module: images [batch, channels, height, width] -> [batch, outputs].

        Raises ConfigError where the samples are no images.
        """
        from raytune_pipe.networks import cnn

        if len(task.input_shape) != 3:
            raise ConfigError(
                "model cnn must have images, [channels, height, width], but the dataset's samples"
                f" have the shape {list(task.input_shape)}; {_instead(task)}"
            )
        network = cnn.Cnn(
            task.input_shape[0],
            self.filters,
            self._kernels(),
            task.outputs,
            activation_type(self.activation),
            self.pooling,
            self.norm,
        )
        self.set_rates(network)
        return network

    def set_rates(self, module: "nn.Module") -> None:
        """Set both kinds of dropout on the live module."""
        set_rates(self, module)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return rates_in_force(self, module)

    def _kernels(self) -> list[tuple[int, int]]:
        """Height and width of each layer's kernel."""
        sizes = self.kernel_size
        each = sizes if isinstance(sizes, tuple) else (sizes,) * len(self.filters)
        shapes = {"1x7": (1, 7), "7x1": (7, 1)}
        return [shapes[size] if isinstance(size, str) else (size, size) for size in each]


DEEPEST = 1202
"""He et al. went as far, and found it no better; what is much deeper is built for minutes."""


def _six_n_plus_two(depth: int) -> int:
    if not 8 <= depth <= DEEPEST or (depth - 2) % 6:
        raise ValueError(
            f"depth must be 6n + 2, such as 8, 14, 20 or 32, and {DEEPEST} at most, but got {depth}"
        )
    return depth


class Resnet(Component):
    """Residual network for small images (He et al. 2016, arXiv:1512.03385, section 4.2)."""

    kind: Literal["resnet"] = "resnet"
    """Name of the model."""
    depth: Annotated[Count, AfterValidator(_six_n_plus_two)] = 8
    """Layers with weights: 6n + 2, for n blocks in each of three stages."""
    width: Count = 16
    """Channels of the first stage; the next two have twice and four times as many."""
    block: Literal["basic", "preactivation"] = "basic"
    """Whether norm and activation come after each convolution, or before it
    (He et al. 2016, arXiv:1603.05027)."""
    norm: Literal["none", "batch", "group"] = "batch"
    """At each convolution; without one, the outputs grow with each block, and the learning rate
    must be lower (group: Wu and He 2018, arXiv:1803.08494)."""
    activation: Activation = "relu"
    """At each convolution."""
    dropout: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the pooled features that is dropped before the classifier in training."""
    stochastic_depth: Annotated[Fraction, MUTABLE] = 0.0
    """Share of the samples for which the last block's branch is left out in training; it grows
    evenly from block to block up to there (Huang et al. 2016, arXiv:1603.09382)."""

    def build(self, task: Task) -> "nn.Module":
        """Module: images [batch, channels, height, width] -> [batch, outputs]."""
        from raytune_pipe.networks import resnet

        if len(task.input_shape) != 3 or task.input_shape[0] not in (1, 3):
            raise ConfigError(
                "model resnet must have images of 1 or 3 channels, [channels, height, width], but"
                f" the dataset's samples have the shape {list(task.input_shape)}; {_instead(task)}"
            )
        network = resnet.Resnet(
            task.input_shape[0],
            self.depth,
            self.width,
            task.outputs,
            activation_type(self.activation),
            norm=self.norm,
            block=self.block,
        )
        self.set_rates(network)
        return network

    def set_rates(self, module: "nn.Module") -> None:
        """Set dropout and stochastic depth on the live module."""
        set_rates(self, module)

    def rates_in_force(self, module: "nn.Module") -> dict[str, Value]:
        """The mutable hyperparameters as the live module holds them."""
        return rates_in_force(self, module)


def _instead(task: Task) -> str:
    """What to do about samples that are no images."""
    if task.tokens is not None:
        return "choose model recurrent or transformer"
    return "choose model mlp, or reshape them"
