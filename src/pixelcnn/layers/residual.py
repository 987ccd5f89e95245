"""The gated residual block."""

import torch
from torch import Tensor, nn

from pixelcnn.layers.activation import ConcatELU
from pixelcnn.layers.causal import MaskedConv2d, ShiftedConv2d
from pixelcnn.layers.condition import ConditionBias
from pixelcnn.layers.dropout import Dropout
from pixelcnn.layers.gated import LinearGate
from pixelcnn.layers.norms import PositionNorm
from pixelcnn.masks import Features

INITIAL_SCALE = 0.1
"""Scale of the initial weights before a block's gate, so that blocks start near the identity."""


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
