"""Compact: the most likelihood for the arithmetic, by large depthwise kernels and gated pointwise layers."""

import torch
from torch import Tensor, nn

from pixelcnn.config import check_integer
from pixelcnn.layers import (
    DepthwiseConv2d,
    Dropout,
    LinearGate,
    MaskedConv2d,
    PositionNorm,
    ShiftedConv2d,
    gated_residual,
)
from pixelcnn.masks import LAYOUTS, PAST, Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped, pointwise_layers

INITIAL_SCALE = 0.7
"""Scale of the initial weights at a block's end, so that blocks start closer to the identity."""


class FirstLayer(nn.Module):
    """From the image to features, none of which has seen its own colour of its own pixel.

    Args:
        image: colours of the image.
        past: features that see the rows above.
        features: colours of the others, which see those and the row's left.
        kernel: odd side of the kernels.
    """

    def __init__(self, image: Features, past: Features, features: Features, kernel: int) -> None:
        super().__init__()
        reach = kernel // 2
        self.above = ShiftedConv2d(image, past, (reach, kernel), (reach, reach))
        self.left = MaskedConv2d(image, features, (kernel, kernel), sees_itself=False)
        for layer in (self.above, self.left):
            layer.draw_bias()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.above(x), self.left(x)], 1)


class CompactBlock(nn.Module):
    """Depthwise kernel, gated pointwise layer, pointwise layer, and a residual connection.

    ``x + mix(a * sigmoid(b))``, where ``a`` and ``b`` are the halves of what the gated layer gives: a gate
    without the hyperbolic tangent of Gated PixelCNN, which in bfloat16 costs as much as a product.

    Args:
        features: colours of the input and output.
        middle: colours of the gated features.
        kernel: odd side of the depthwise kernel.
        norm: normalise the features at each position first.
        dropout: probability of zeroing a gated feature.
    """

    def __init__(
        self, features: Features, middle: Features, kernel: int, norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.norm = PositionNorm(features) if norm else None
        self.space = DepthwiseConv2d(features, (kernel // 2 + 1, kernel), bias=False)
        self.widen = MaskedConv2d(features, middle * 2, (1, 1), sees_itself=True)
        self.gate = LinearGate()
        self.dropout = Dropout(dropout)
        self.mix = MaskedConv2d(middle, features, (1, 1), sees_itself=True)
        with torch.no_grad():
            self.mix.weight.mul_(INITIAL_SCALE)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        if self.norm is None:
            layers = (self.space, self.widen, self.gate, self.dropout, self.mix)
            fused = gated_residual(x, *layers, bias)
            if fused is not None:
                return fused
        y = self.widen(self.space(x if self.norm is None else self.norm(x)))
        if bias is not None:
            y = y + bias
        mixed: Tensor = self.mix(self.dropout(self.gate(y)))
        return x + mixed


@NETWORKS.register("compact")
class Compact(Network):
    """Residual blocks of a large depthwise causal kernel and gated pointwise layers: no blind spot.

    Arithmetic goes into 1x1 convolutions, which mix features, and reach comes from kernels of one feature
    each, which cost next to nothing. Some features have seen the finished rows only; their kernels may
    see the whole of a row, which closes the blind spot without a second stack.

    Reference: this project. The block is that of ConvNeXt (Liu et al., A ConvNet for the 2020s, 2022) made
    causal, with the gate and the two kinds of features of Gated PixelCNN (van den Oord et al., 2016b).

    Args:
        channels, out, order, condition, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps.
        depth: blocks.
        kernel: odd side of the depthwise kernels, of which the rows below the position are left out.
        first_kernel: odd side of the first layer's kernels, at least 3.
        middle: gated features of a block; the width if None.
        head_width: feature maps of the 1x1 layer before the output; the width if None.
        norm: normalise each position's features in every block and before the head.
        layout: how feature maps are grouped by colour, ``"interleaved"`` or ``"contiguous"``.
        dropout: probability of zeroing a gated feature in training.

    Example:
        >>> Compact(channels=1, out=2, width=8, depth=2)(torch.zeros(1, 1, 4, 4)).shape
        torch.Size([1, 2, 4, 4])
    """

    spare = 1

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 64,
        depth: options.Depth = 8,
        kernel: options.Side = 7,
        first_kernel: options.Side = 7,
        middle: options.Width | None = None,
        head_width: options.Width | None = None,
        norm: bool = False,
        layout: options.Layout = "interleaved",
        order: options.Order = "channel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        dropout: options.Probability = 0.0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size, embedding, codes)
        self.width, self.depth, self.kernel, self.first_kernel = width, depth, kernel, first_kernel
        self.middle, self.head_width, self.norm = middle, head_width, norm
        self.layout, self.dropout = layout, dropout
        past, visible = self._colours("width", width)
        self.first = FirstLayer(self.image_features, past, visible, first_kernel)
        between = sum(self._colours("middle", width if middle is None else middle), ())
        features = past + visible
        self.blocks = nn.ModuleList(
            CompactBlock(features, between, kernel, norm, dropout) for _ in range(depth)
        )
        self.biases = self.condition_biases(depth, 2 * len(between))
        top = grouped("head_width", head_width or width, self.colours, layout)
        self.head = nn.Sequential(
            PositionNorm(features) if norm else nn.Identity(),
            MaskedConv2d(features, top, (1, 1), sees_itself=True),
            *pointwise_layers("silu", top, self.out_features),
        )

    def _colours(self, name: str, width: int) -> tuple[Features, Features]:
        """Features that have seen finished rows only, and all others."""
        check_integer(name, width, self.colours + self.spare, 16_384)
        past = min(width // 2, width - self.colours)
        return (PAST,) * past, LAYOUTS[self.layout](width - past, self.colours)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.first(self.features_of(x))
        for i, block in enumerate(self.blocks):
            x = block(x, self.biases[i](condition) if len(self.biases) else None)
        return self.head(x)
