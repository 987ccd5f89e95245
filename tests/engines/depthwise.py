"""Small networks of depthwise layers, for what their sums do differently in a plan."""

import torch
from torch import Tensor, nn

import tiny
from pixelcnn.layers import DepthwiseConv2d, MaskedConv2d, ShiftedConv2d
from pixelcnn.masks import PAST, contiguous, interleaved
from pixelcnn.networks import Network

KINDS = ("plain", "ended", "mixed", "condition")


class Depthwise(Network):
    """One depthwise layer between a masked and a 1x1 layer.

    Args:
        channels: image channels.
        out: parameters per pixel.
        order: see :class:`Network`.
        width: feature maps.
        kind: ``plain``; ``ended``, by a function and a residual value; ``mixed``, of features that have seen
            finished rows only and others; or ``condition``, which it reads itself.
    """

    def __init__(self, channels: int, out: int, order: str, width: int, kind: str) -> None:
        labels = tiny.CONDITION_SIZE if kind == "condition" else 0
        super().__init__(channels, out, order, "label" if labels else None, labels)
        self.kind, past = kind, (PAST,) * (width // 2 if kind == "mixed" else 0)
        layout = contiguous if kind == "plain" else interleaved
        features = layout(width - len(past), self.colours)
        image = self.image_features
        self.above = ShiftedConv2d(image, past, (1, 3), (1, 1)) if past else None
        self.read = MaskedConv2d(image, features, (3, 3), sees_itself=False)
        self.bias = self.condition_bias(width)
        self.of_bias = DepthwiseConv2d(features, (1, 1)) if labels else None
        self.space = DepthwiseConv2d(past + features, (3, 5), bias=kind != "ended")
        self.head = MaskedConv2d(past + features, self.out_features, (1, 1), sees_itself=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.read(x)
        if self.above is not None:
            y = torch.cat([self.above(x), y], 1)
        if self.bias is not None and self.of_bias is not None:
            y = y + self.of_bias(self.bias(condition))
        if self.kind == "ended":
            return self.head(y + nn.functional.silu(self.space(y)))
        return self.head(torch.tanh(self.space(y)) if self.kind == "mixed" else self.space(y))
