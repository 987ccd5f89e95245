"""The parts of PixelCNN++: pairs of gated residual blocks, between scales and on each.

Two streams go through the network side by side. At a position the one above has seen the rows above it,
the left one those and the row's left.
"""

import torch
from torch import Tensor, nn

from pixelcnn.layers.causal import ShiftedConv2d
from pixelcnn.layers.condition import ConditionBias
from pixelcnn.layers.residual import ResidualBlock
from pixelcnn.layers.strided import DownConv2d, UpConv2d
from pixelcnn.masks import PAST, Features

ABOVE, LEFT = ((2, 3), (1, 1)), ((2, 2), (1, 1))
"""Kernel and origin of the two streams' convolutions."""

Streams = tuple[Tensor, Tensor]
"""Values of the stream above and of the left one."""


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
