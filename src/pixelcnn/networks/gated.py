"""Gated PixelCNN: two stacks of causal convolutions, without the blind spot."""

from torch import Tensor, nn

from pixelcnn.layers import Dropout, Gate, MaskedConv2d, PositionNorm, ShiftedConv2d
from pixelcnn.masks import PAST, Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped, pointwise_layers


class GatedLayer(nn.Module):
    """One layer of both stacks (2016b, fig. 2).

    The vertical stack ``v`` at a position has seen the rows above it, the horizontal stack ``h`` those and
    the pixels to the left. The paper lets ``v`` see its own row and shifts it down on its way to ``h``;
    here the first layer's vertical kernel lies above the row, which is the same without a shift.

    Args:
        vertical: colours of the vertical stack's input.
        horizontal: colours of the horizontal stack's input.
        features: colours of the horizontal stack's output.
        kernel: odd side of the kernels.
        first: the layer reads the image: no position sees its own colour, and there is no residual.
        norm: normalise the stacks at each position before the convolutions.
        dropout: probability of zeroing a gated feature.
    """

    def __init__(
        self,
        vertical: Features,
        horizontal: Features,
        features: Features,
        kernel: int,
        first: bool,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        past = (PAST,) * len(features)
        reach = kernel // 2
        rows = reach if first else reach + 1
        self.residual = not first
        self.vertical = ShiftedConv2d(vertical, past * 2, (rows, kernel), (reach, reach))
        self.horizontal = ShiftedConv2d(
            horizontal, features * 2, (1, reach + 1), (0, reach), sees_itself=not first
        )
        self.link = MaskedConv2d(past * 2, features * 2, (1, 1), sees_itself=True, bias=False)
        self.mix = MaskedConv2d(features, features, (1, 1), sees_itself=True)
        self.gate = Gate()
        self.dropout = Dropout(dropout)
        normalise = norm and not first
        self.vertical_norm = PositionNorm(vertical) if normalise else None
        self.horizontal_norm = PositionNorm(horizontal) if normalise else None
        if norm and first:
            self.vertical.draw_bias()
            self.horizontal.draw_bias()

    def forward(
        self, v: Tensor, h: Tensor, v_bias: Tensor | None, h_bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        above = self.vertical(v if self.vertical_norm is None else self.vertical_norm(v))
        left = self.horizontal(h if self.horizontal_norm is None else self.horizontal_norm(h))
        if v_bias is not None and h_bias is not None:
            above, left = above + v_bias, left + h_bias
        left = left + self.link(above)
        above, left = self.gate(above), self.mix(self.dropout(self.gate(left)))
        return (v + above, h + left) if self.residual else (above, left)


@NETWORKS.register("gated-pixelcnn")
class GatedPixelCNN(Network):
    """Two stacks of gated causal convolutions: all of the raster past within reach, no blind spot.

    Each layer computes ``tanh(a) * sigmoid(b)``; the vertical stack sees the rows above, the horizontal
    stack the current row and the vertical stack.

    Reference: van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, fig. 2.
    Deviations: residual connections in both stacks; optionally a norm before each layer's convolutions
    and dropout after its gate; the shift between the stacks sits in the first layer's kernel.

    Args:
        channels, out, order, condition, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps per stack (p).
        depth: gated layers, the first one included; the reach grows by ``kernel // 2`` pixels each.
        kernel: odd side of the kernels.
        first_kernel: odd side of the first layer's kernels, at least 3.
        head_width: feature maps of the 1x1 layer before the output; the width if None.
        norm: normalise each position's features before the convolutions.
        activation: activation of the head.
        layout: how feature maps are grouped by colour, ``"interleaved"`` or ``"contiguous"``.
        dropout: probability of zeroing a gated feature in training.

    Example:
        >>> import torch
        >>> GatedPixelCNN(channels=1, out=2, width=8, depth=2)(torch.zeros(1, 1, 4, 4)).shape
        torch.Size([1, 2, 4, 4])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 64,
        depth: options.Depth = 8,
        kernel: options.Side = 3,
        first_kernel: options.Side = 7,
        head_width: options.Width | None = None,
        norm: bool = False,
        activation: options.Activation = "relu",
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
        top = grouped("head_width", head_width or width, self.colours, layout)
        self.width, self.depth, self.kernel, self.first_kernel = width, depth, kernel, first_kernel
        self.head_width, self.norm, self.activation = head_width, norm, activation
        self.layout, self.dropout = layout, dropout
        self.layers = nn.ModuleList(self._layer(i, features) for i in range(depth))
        self.biases = self.condition_biases(2 * depth, 2 * width)
        head = pointwise_layers(activation, features, top, self.out_features)
        self.head = nn.Sequential(*head)

    def _layer(self, index: int, features: Features) -> GatedLayer:
        if index == 0:
            image = self.image_features
            return GatedLayer(
                image, image, features, self.first_kernel, True, self.norm, self.dropout
            )
        past = (PAST,) * self.width
        return GatedLayer(past, features, features, self.kernel, False, self.norm, self.dropout)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        v = h = self.features_of(x)
        for i, layer in enumerate(self.layers):
            biases = [bias(condition) for bias in self.biases[2 * i : 2 * i + 2]]
            v, h = layer(v, h, *(biases or (None, None)))
        return self.head(h)
