"""The gated activation."""

import torch
from torch import Tensor, nn

from pixelcnn.program import Program


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

    def lower(self, program: Program, x: int) -> int:
        """Two halves, two functions, one product."""
        half = program.width(x) // 2
        a = program.elementwise("tanh", program.slice(x, 0, half))
        b = program.elementwise("sigmoid", program.slice(x, half, 2 * half))
        return program.elementwise("mul", a, b)
