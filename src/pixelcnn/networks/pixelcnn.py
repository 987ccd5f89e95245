"""PixelCNN: one stack of masked convolutions.

The paper's network and the variations that its tutorials made: where the activation stands, which layer
of a block is narrow, how features are grouped by colour. It has a blind spot.
"""

from typing import Annotated, Literal

from torch import Tensor, nn

from pixelcnn import layers
from pixelcnn.annotations import Range
from pixelcnn.layers import Dropout, MaskedConv2d
from pixelcnn.masks import Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped, pointwise_layers


class Block(nn.Module):
    """Bottleneck residual block: 1x1, kxk with mask B, 1x1 (2016a, fig. 5).

    Args:
        features: colours of the input and output.
        narrow: colours of the narrow part.
        kernel: side of the middle kernel.
        halve: the layer that narrows, ``"first"`` as in the paper, or ``"middle"`` as the Keras example has
            it, which costs twice the arithmetic.
        activate: ``"before"`` or ``"after"`` each convolution.
        kind: name of the activation.
        dropout: probability of zeroing a narrow feature.
    """

    def __init__(
        self,
        features: Features,
        narrow: Features,
        kernel: int,
        halve: str,
        activate: str,
        kind: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.before = activate == "before"
        middle = narrow if halve == "first" else features
        self.reduce = MaskedConv2d(features, middle, (1, 1), sees_itself=True)
        self.convolve = MaskedConv2d(middle, narrow, (kernel, kernel), sees_itself=True)
        self.expand = MaskedConv2d(narrow, features, (1, 1), sees_itself=True)
        widths = [features, middle, narrow] if self.before else [middle, narrow, features]
        self.activations = nn.ModuleList(layers.activation(kind, len(width)) for width in widths)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        first, second, third = self.activations
        if self.before:
            y = self.reduce(first(x))
            y = y if bias is None else y + bias
            y = self.convolve(second(y))
            return x + self.expand(self.dropout(third(y)))
        y = self.reduce(x)
        y = y if bias is None else y + bias
        y = second(self.convolve(first(y)))
        return x + third(self.expand(self.dropout(y)))


@NETWORKS.register("pixelcnn")
class PixelCNN(Network):
    """A mask-A convolution, residual blocks with mask B, and a 1x1 head.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, table 1 and fig. 5.
    Deviations: none with ``activate="before"``; the tutorials' variations are arguments.

    Args:
        channels, out, order, condition, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps (2h).
        depth: residual blocks.
        kernel: odd side of the blocks' masked kernel.
        first_kernel: odd side of the first kernel.
        bottleneck: feature maps of a block's narrow part (h); half the width if None.
        halve: the block's layer that narrows, ``"first"`` or ``"middle"``.
        activation: ``relu``, ``prelu``, ``elu`` or ``silu``.
        activate: ``"before"`` or ``"after"`` each convolution.
        head_width: feature maps of the 1x1 layers before the output; the width if None.
        head_depth: how many of them.
        layout: how feature maps are grouped by colour, ``"interleaved"`` or ``"contiguous"``.
        dropout: probability of zeroing a narrow feature in training.

    Example:
        >>> import torch
        >>> network = PixelCNN(channels=1, out=1, width=8, depth=2)
        >>> network(torch.zeros(1, 1, 5, 7)).shape
        torch.Size([1, 1, 5, 7])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 128,
        depth: Annotated[int, Range(0, 1_000)] = 5,
        kernel: Annotated[int, Range(1, 63, odd=True)] = 3,
        first_kernel: Annotated[int, Range(1, 63, odd=True)] = 7,
        bottleneck: options.Width | None = None,
        halve: Literal["first", "middle"] = "first",
        activation: options.Activation = "relu",
        activate: Literal["before", "after"] = "before",
        head_width: options.Width | None = None,
        head_depth: Annotated[int, Range(0, 100)] = 2,
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
        self.bottleneck, self.halve = bottleneck, halve
        self.head_width, self.head_depth = head_width, head_depth
        self.activation, self.activate = activation, activate
        self.layout, self.dropout = layout, dropout
        half = max(width // 2, self.colours) if bottleneck is None else bottleneck
        narrow = grouped("bottleneck", half, self.colours, layout)
        features = grouped("width", width, self.colours, layout)
        self.input = MaskedConv2d(
            self.image_features, features, (first_kernel, first_kernel), sees_itself=False
        )
        self.bias = self.condition_bias(width)
        self.first = layers.activation(activation, width) if activate == "after" else None
        self.blocks = nn.ModuleList(
            Block(features, narrow, kernel, halve, activate, activation, dropout)
            for _ in range(depth)
        )
        middle = len(narrow if halve == "first" else features)
        self.biases = self.condition_biases(depth, middle)
        top = grouped("head_width", head_width or width, self.colours, layout)
        head = pointwise_layers(activation, features, *[top] * head_depth, self.out_features)
        self.head = nn.Sequential(*head[self.first is not None :])

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.input(self.features_of(x))
        if self.bias is not None:
            x = x + self.bias(condition)
        if self.first is not None:
            x = self.first(x)
        for i, block in enumerate(self.blocks):
            x = block(x, self.biases[i](condition) if len(self.biases) else None)
        return self.head(x)
