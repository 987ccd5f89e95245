"""What every network promises."""

import abc
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, get_args

import torch
from torch import Tensor, nn

from pixelcnn.config import check_integer, gated
from pixelcnn.devices import Doubled
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.layers import CodeEmbedding, ConditionBias, MaskedConv2d, activation
from pixelcnn.masks import LAYOUTS, Features, contiguous, raster_past
from pixelcnn.networks import options
from pixelcnn.registry import Registry
from pixelcnn.shapes import MAX_LEVELS

ORDERS: tuple[options.Order, ...] = get_args(options.Order)
ONES_OWN = "a network of your own is a subclass of pixelcnn.networks.Network: docs/extending.md"
"""What to do where a network is wanted, and another module was given."""


class Network(nn.Module, abc.ABC):
    """Maps the past of each position to numbers.

    Subclasses store every constructor argument under its own name, these among them. A constructor is given
    its arguments as :func:`pixelcnn.config.gated` has checked them against their annotations.

    Attributes:
        channels: image channels.
        out: parameters per pixel; with order ``"channel"`` a multiple of ``channels``, colour-major.
        order: ``"channel"``: the parameters of channel c see the pixel's earlier channels;
            ``"pixel"``: all parameters of a pixel see earlier pixels only.
        condition: None, ``"label"``, ``"vector"`` or ``"map"``.
        condition_size: classes, or features of the vector or map; 0 without condition.
        largest: height and width of the largest image that the network takes; None for any.
        spare: features that a layer needs beside one for each channel.
        embedding: features that stand for the level of each channel; 0 where levels are scaled. Levels that
            are names, such as the codes of a quantiser, have no order that scaling could mean.
        codes: levels that are embedded; 0 without.
    """

    channels: int
    out: int
    order: str
    condition: str | None
    condition_size: int
    largest: tuple[int, int] | None = None
    spare: int = 0

    @gated
    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        order: options.Order,
        condition: options.Condition | None,
        condition_size: options.Count,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__()
        check_integer("condition_size", condition_size, 0 if condition is None else 1, MAX_LEVELS)
        check_integer("codes", codes, 2 if embedding else 0, MAX_LEVELS)
        if order == "channel" and out % channels:
            raise ConfigError(
                f"{out} parameters per pixel cannot be shared by {channels} channels",
                hint="out is channels times the parameters of one channel",
            )
        self.channels, self.out, self.order = channels, out, order
        self.condition, self.condition_size = condition, condition_size
        self.embedding, self.codes = embedding, codes
        self.embed = CodeEmbedding(channels, codes, embedding) if embedding else None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = gated(cls.__init__)  # type: ignore[method-assign]

    @abc.abstractmethod
    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Parameters ``(n, out, h, w)`` from scaled levels, or codes, ``(n, channels, h, w)``."""

    def claimed_past(self, height: int, width: int) -> Tensor:
        """The past each output claims to see, bool ``(c, h, w, c, h, w)``: target, source.

        All of the raster past. Verification holds a network that states its own to exactly that, any other
        to what its program reads (:func:`pixelcnn.engines.parallel.past_seen`), or to this one if it has no
        program.
        """
        past = raster_past(self.channels, height, width)
        return past if self.order == "channel" else past[:1].expand_as(past)

    @property
    def colours(self) -> int:
        """Colours that feature maps are divided into: the channels, or one where the order is by pixel."""
        return self.channels if self.order == "channel" else 1

    @property
    def image_features(self) -> Features:
        """Colours of the features of the image, see :meth:`features_of`."""
        return contiguous(self.channels * max(1, self.embedding), self.colours)

    @property
    def out_features(self) -> Features:
        """Colours of the parameters, colour-major."""
        return contiguous(self.out, self.colours)

    def features_of(self, x: Tensor) -> Tensor:
        """What the first layer reads: scaled levels as they are, or the features of codes."""
        return x if self.embed is None else self.embed(x)

    def condition_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of what an image of a size is given: a label, a vector ``(d,)`` or a map ``(d, h, w)``."""
        size = self.condition_size
        return {"vector": (size,), "map": (size, height, width)}.get(str(self.condition), ())

    def condition_bias(self, width: int, stride: int = 1) -> ConditionBias | None:
        """A layer's bias from the condition; None where the network has none."""
        if self.condition is None:
            return None
        return ConditionBias(self.condition, self.condition_size, width, stride)

    def condition_biases(self, count: int, width: int) -> nn.ModuleList:
        """As many biases of so many features; none where the network has no condition."""
        biases = (self.condition_bias(width) for _ in range(count))
        return nn.ModuleList(bias for bias in biases if bias is not None)


def parameters_of(network: Network, x: Tensor, condition: Tensor | None = None) -> Tensor:
    """What a network gives for scaled levels or codes ``(n, channels, h, w)``.

    One whose weights are float64, as for a proof, computes in that where its ``forward`` asks for float32.

    Raises:
        ModelError: anything but a tensor ``(n, out, h, w)``.
    """
    given = (x,) if condition is None else (x, condition)
    double = next((p.dtype for p in network.parameters()), None) == torch.float64
    with Doubled() if double else nullcontext():
        found = network(*given)
    wanted = (x.shape[0], network.out, *x.shape[2:])
    if not isinstance(found, Tensor) or found.shape != wanted:
        what = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(
            f"{type(network).__name__} gave {what}, not parameters of shape {wanted}",
            hint="forward maps (n, channels, h, w) to (n, out, h, w)",
        )
    return found


NETWORKS: Registry[Network] = Registry("network")
"""Every network by its public name."""


def grouped(name: str, width: int, colours: int, layout: options.Layout) -> Features:
    """The colours of ``width`` feature maps, of which a layer needs at least one for each colour.

    Raises:
        ConfigError: there are fewer; names the option.
    """
    if width < colours:
        raise ConfigError(
            f"{name} = {width} leaves some of {colours} channels without a feature map"
        )
    return LAYOUTS[layout](width, colours)


def pointwise_layers(kind: str, *features: Features) -> list[nn.Module]:
    """1x1 layers from some features to the next, an activation before each.

    Args:
        kind: name of the activation.
        features: colours of what the first one reads, and of what each gives.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(features):
        layers.append(activation(kind, len(inputs)))
        layers.append(MaskedConv2d(inputs, outputs, (1, 1), sees_itself=True))
    return layers
