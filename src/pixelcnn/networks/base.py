"""What every network promises."""

import abc

from torch import Tensor, nn

from pixelcnn.config import check_choice, check_integer
from pixelcnn.errors import ConfigError
from pixelcnn.layers import CONDITIONS, CodeEmbedding, ConditionBias
from pixelcnn.masks import Features, contiguous, raster_past
from pixelcnn.registry import Registry
from pixelcnn.shapes import MAX_CHANNELS, MAX_LEVELS

ORDERS = ("channel", "pixel")


class Network(nn.Module, abc.ABC):
    """Maps the past of each position to numbers.

    Subclasses store every constructor argument under its own name, these among them:

    Attributes:
        channels: image channels.
        out: parameters per pixel; with order ``"channel"`` a multiple of ``channels``, colour-major.
        order: ``"channel"``: the parameters of channel c see the pixel's earlier channels;
            ``"pixel"``: all parameters of a pixel see earlier pixels only.
        condition: None, ``"label"``, ``"vector"`` or ``"map"``.
        condition_size: classes, or features of the vector or map; 0 without condition.
        largest: height and width of the largest image that the network takes; None for any.
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

    def __init__(
        self,
        channels: int,
        out: int,
        order: str,
        condition: str | None,
        condition_size: int,
        embedding: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        check_integer("channels", channels, 1, MAX_CHANNELS)
        check_integer("out", out, 1, MAX_CHANNELS * MAX_LEVELS)
        check_choice("order", order, ORDERS)
        check_choice("condition", condition, CONDITIONS)
        check_integer("condition_size", condition_size, 0 if condition is None else 1, MAX_LEVELS)
        check_integer("embedding", embedding, 0, 16_384)
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

    def condition_bias(self, width: int, stride: int = 1) -> ConditionBias | None:
        """A layer's bias from the condition; None where the network has none."""
        if self.condition is None:
            return None
        return ConditionBias(self.condition, self.condition_size, width, stride)


NETWORKS: Registry[Network] = Registry("network")
"""Every network by its public name."""


def check_width(name: str, width: object, colours: int) -> None:
    """A layer needs at least one feature map for each colour."""
    check_integer(name, width, 1, 16_384)
    if isinstance(width, int) and width < colours:
        raise ConfigError(
            f"{name} = {width} leaves some of {colours} channels without a feature map"
        )
