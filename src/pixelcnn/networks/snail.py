"""PixelSNAIL: gated causal convolutions that know the neighbourhood, attention that knows all of the past."""

from typing import Annotated

import torch
from torch import Tensor, nn

from pixelcnn.annotations import Range
from pixelcnn.layers import Coordinates, MaskedConv2d, PositionNorm, RasterAttention
from pixelcnn.layers.residual import ResidualBlock
from pixelcnn.masks import PAST, Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped, pointwise_layers

POINT = ((1, 1), (0, 0))
"""Kernel and origin of a convolution that stays at its position."""


class LookUp(nn.Module):
    """Attention to the features and the image at all earlier pixels.

    Keys and values see all colours of their own pixel, since they are read at later ones. The query of a
    pixel sees none: a pixel looks up once, and all its channels read what was found.

    Args:
        features: colours of the features.
        image: colours of the image.
        attend: the attention.
        background: queries, keys and values know their row and column.
        norm: normalise the features at each position.
    """

    def __init__(
        self,
        features: Features,
        image: Features,
        attend: RasterAttention,
        background: bool,
        norm: bool,
    ) -> None:
        super().__init__()
        self.norm = PositionNorm(features) if norm else None
        self.coordinates = Coordinates() if background else None
        place = (PAST, PAST) if background else ()
        queries, keys, values = attend.widths
        first, last = (min(features),) * queries, (max(features),) * (keys + values)
        self.query = MaskedConv2d(features + place, first, (1, 1), sees_itself=True)
        self.memory = MaskedConv2d(features + place + image, last, (1, 1), sees_itself=True)
        self.attend = attend

    def forward(self, y: Tensor, image: Tensor) -> Tensor:
        if self.norm is not None:
            y = self.norm(y)
        if self.coordinates is not None:
            y = self.coordinates(y)
        memory = self.memory(torch.cat([y, image], 1))
        return self.attend(torch.cat([self.query(y), memory], 1))


class AttentionBlock(nn.Module):
    """Gated residual convolutions, a look-up, and a gated residual layer that takes in what it found.

    Args:
        convolutions: the gated residual convolutions.
        look_up: the attention.
        mix: a gated residual layer with a short-cut.
    """

    def __init__(
        self, convolutions: list[ResidualBlock], look_up: LookUp, mix: ResidualBlock
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.look_up, self.mix = look_up, mix

    def forward(self, y: Tensor, image: Tensor, condition: Tensor | None) -> Tensor:
        for convolution in self.convolutions:
            y = convolution(y, None, condition)
        return self.mix(y, self.look_up(y, image), condition)


@NETWORKS.register("snail")
class PixelSNAIL(Network):
    """Blocks of gated causal convolutions and attention: all of the raster past from the first block on.

    Reference: Chen et al., PixelSNAIL: An Improved Autoregressive Generative Model, 2018.
    Deviations: queries, keys and values are linear functions, without a gated layer of their own, and
    scores are divided by the root of the key's width; a learned start token stands for the first pixel's
    empty past; rows and columns are counted from the corner, whatever the size of the image; a norm at
    each position where the paper has data-dependent weight normalisation; with order ``"channel"``
    features have colours, as those of PixelCNN have. The paper has 256 filters, 12 blocks of 4
    convolutions each, keys of 16 and values of 128 features.

    Args:
        channels, out, order, condition, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps.
        depth: attention blocks.
        convolutions: gated residual blocks of two convolutions each, before each look-up.
        kernel: rows and columns of their kernels, which end at the position itself.
        first_kernel: odd side of the first layer's kernel.
        heads: look-ups side by side.
        key_width: features of a query and of a key.
        value_width: features of a value; half the width over the heads if None.
        background: attention knows rows and columns.
        norm: normalise each position's features before convolutions and attention.
        layout: how feature maps are grouped by colour, ``"interleaved"`` or ``"contiguous"``.
        dropout: probability of zeroing a feature inside a gated block in training.

    Example:
        >>> import torch
        >>> PixelSNAIL(channels=1, out=2, width=8, depth=1)(torch.zeros(1, 1, 4, 5)).shape
        torch.Size([1, 2, 4, 5])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 64,
        depth: options.Depth = 4,
        convolutions: Annotated[int, Range(0, 1_000)] = 2,
        kernel: Annotated[int, Range(1, 63)] = 2,
        first_kernel: options.Side = 3,
        heads: options.Width = 1,
        key_width: options.Width = 16,
        value_width: options.Width | None = None,
        background: bool = True,
        norm: bool = True,
        layout: options.Layout = "interleaved",
        order: options.Order = "channel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        dropout: options.Probability = 0.0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size, embedding, codes)
        features = grouped("width", width, self.colours, layout)
        self.width, self.depth, self.convolutions, self.kernel = width, depth, convolutions, kernel
        self.first_kernel, self.heads, self.key_width = first_kernel, heads, key_width
        self.value_width, self.background, self.norm = value_width, background, norm
        self.layout, self.dropout = layout, dropout
        self.input = MaskedConv2d(
            self.image_features, features, (first_kernel, first_kernel), sees_itself=False
        )
        self.input.draw_bias()
        self.blocks = nn.ModuleList(self._block(features) for _ in range(depth))
        self.head = nn.Sequential(*pointwise_layers("elu", features, self.out_features))

    def _block(self, features: Features) -> AttentionBlock:
        kernel = (self.kernel, self.kernel), (self.kernel - 1, self.kernel - 1)
        half = max(1, self.width // (2 * self.heads))
        values = half if self.value_width is None else self.value_width
        attend = RasterAttention(self.heads, self.key_width, values)

        def gated(link: Features, shape: tuple[tuple[int, int], tuple[int, int]]) -> ResidualBlock:
            bias = self.condition_bias(2 * self.width)
            return ResidualBlock(features, link, shape, self.norm, self.dropout, bias)

        return AttentionBlock(
            [gated((), kernel) for _ in range(self.convolutions)],
            LookUp(features, self.image_features, attend, self.background, self.norm),
            gated((PAST,) * attend.widths[2], POINT),
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        image = self.features_of(x)
        y = self.input(image)
        for block in self.blocks:
            y = block(y, image, condition)
        return self.head(y)
