"""The gated activation."""

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """``tanh(a) * sigmoid(b)`` of the two halves of the features.

    Reference: van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, eq. 2.

    Shapes: ``(n, 2 f, h, w)`` to ``(n, f, h, w)``.

    Example:
        >>> Gate()(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)).item()
        0.3807970881462097
    """

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.tanh(a) * torch.sigmoid(b)
