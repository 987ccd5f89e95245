"""Gated residual blocks, and the parts of PixelCNN++: pairs of them, between scales and on each.

Two streams go through that network side by side. At a position the one above has seen the rows above it,
the left one those and the row's left.
"""

import torch
from torch import Tensor, nn

from pixelcnn.layers.activation import ConcatELU
from pixelcnn.layers.causal import MaskedConv2d, ShiftedConv2d
from pixelcnn.layers.condition import ConditionBias
from pixelcnn.layers.dropout import Dropout
from pixelcnn.layers.gated import LinearGate
from pixelcnn.layers.norms import PositionNorm
from pixelcnn.layers.strided import DownConv2d, UpConv2d
from pixelcnn.masks import PAST, Features

INITIAL_SCALE = 0.1
"""Scale of the initial weights before a block's gate, so that blocks start near the identity."""

ABOVE, LEFT = ((2, 3), (1, 1)), ((2, 2), (1, 1))
"""Kernel and origin of the two streams' convolutions."""

Streams = tuple[Tensor, Tensor]
"""Values of the stream above and of the left one."""


class ResidualBlock(nn.Module):
    """Two shifted convolutions, a gate and a residual connection, with a short-cut from another value.

    ``x + a * sigmoid(b)``, where ``a`` and ``b`` are the halves of the second convolution's output.

    Reference: Salimans et al., PixelCNN++, 2017, section 2.4 and its published code. Deviation: the norms.

    Args:
        features: colours of the input and output.
        link: colours of the short-cut's value; empty if there is none.
        shape: kernel and origin of both convolutions.
        norm: normalise what they read at each position.
        dropout: probability of zeroing a feature before the second one.
        bias: added to the second one's output.

    Example:
        >>> block = ResidualBlock((0,) * 4, (), ((2, 2), (1, 1)), norm=False, dropout=0.0, bias=None)
        >>> block(torch.zeros(1, 4, 5, 7), None, None).shape
        torch.Size([1, 4, 5, 7])
    """

    def __init__(
        self,
        features: Features,
        link: Features,
        shape: tuple[tuple[int, int], tuple[int, int]],
        norm: bool,
        dropout: float,
        bias: ConditionBias | None,
    ) -> None:
        super().__init__()
        self.first = ShiftedConv2d(features * 2, features, *shape)
        self.link = MaskedConv2d(link * 2, features, (1, 1), sees_itself=True) if link else None
        self.second = ShiftedConv2d(features * 2, features * 2, *shape)
        self.activation, self.dropout, self.bias = ConcatELU(), Dropout(dropout), bias
        self.gate = LinearGate()
        self.first_norm = PositionNorm(features) if norm else None
        self.second_norm = PositionNorm(features) if norm else None
        with torch.no_grad():
            self.second.weight.mul_(INITIAL_SCALE)

    def forward(self, x: Tensor, link: Tensor | None, condition: Tensor | None) -> Tensor:
        y = x if self.first_norm is None else self.first_norm(x)
        y = self.first(self.activation(y))
        if self.link is not None and link is not None:
            y = y + self.link(self.activation(link))
        if self.second_norm is not None:
            y = self.second_norm(y)
        y = self.second(self.dropout(self.activation(y)))
        if self.bias is not None:
            y = y + self.bias(condition)
        gated: Tensor = self.gate(y)
        return x + gated


class ResidualPair(nn.Module):
    """One block of each stream. The left one reads the one above, and both an earlier pair's values.

    Args:
        features: colours of the left stream.
        skips: there is an earlier pair to read from.
        norm, dropout: see :class:`ResidualBlock`.
        biases: of the two blocks.
    """

    def __init__(
        self,
        features: Features,
        skips: bool,
        norm: bool,
        dropout: float,
        biases: tuple[ConditionBias | None, ConditionBias | None],
    ) -> None:
        super().__init__()
        past = (PAST,) * len(features)
        earlier = (past, features) if skips else ((), ())
        self.skips = skips
        self.above = ResidualBlock(past, earlier[0], ABOVE, norm, dropout, biases[0])
        self.left = ResidualBlock(features, past + earlier[1], LEFT, norm, dropout, biases[1])

    def forward(self, streams: Streams, skip: Streams, condition: Tensor | None) -> Streams:
        above = self.above(streams[0], skip[0], condition)
        link = torch.cat([above, skip[1]], 1) if self.skips else above
        return above, self.left(streams[1], link, condition)


class PairDown(nn.Module):
    """Both streams to half the size; the arguments after the first are for :class:`ResidualPair` only."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        past = (PAST,) * len(features)
        self.above = DownConv2d(past, past, *ABOVE)
        self.left = DownConv2d(features, features, *LEFT)

    def forward(self, streams: Streams, skip: Streams, condition: Tensor | None) -> Streams:
        return self.above(streams[0]), self.left(streams[1])


class PairUp(nn.Module):
    """Both streams to twice the size, or to that of the values they meet next."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        past = (PAST,) * len(features)
        self.above = UpConv2d(past, past, (2, 3), (0, 1))
        self.left = UpConv2d(features, features, (2, 2), (0, 0))

    def forward(self, streams: Streams, skip: Streams, condition: Tensor | None) -> Streams:
        return self.above(streams[0], skip[0]), self.left(streams[1], skip[1])


class FirstPair(nn.Module):
    """From the image to the two streams, no position of which has seen itself.

    The paper shifts what ordinary kernels give down by one row or right by one column; here the kernels'
    origins do that. Where channels follow each other, the left kernel has one more column, in which a
    channel sees the earlier ones of its pixel.
    """

    def __init__(self, image: Features, features: Features) -> None:
        super().__init__()
        columns = 1 if len(set(image)) == 1 else 2
        past = (PAST,) * len(features)
        self.above = ShiftedConv2d(image, past, (2, 3), (2, 1))
        self.row = ShiftedConv2d(image, features, (1, 3), (1, 1))
        self.left = ShiftedConv2d(image, features, (2, columns), (1, 1), sees_itself=False)
        for layer in (self.above, self.left):
            layer.draw_bias()

    def forward(self, x: Tensor) -> Streams:
        return self.above(x), self.row(x) + self.left(x)
