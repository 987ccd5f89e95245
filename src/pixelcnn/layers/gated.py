"""Gated activations: half of the features say how much of the other half passes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

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


class LinearGate(nn.Module):
    """``a * sigmoid(b)`` of the two halves of the features.

    Reference: Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017, section 2.

    Shapes: ``(n, 2 f, h, w)`` to ``(n, f, h, w)``.

    Example:
        >>> LinearGate()(torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)).item()
        1.5
    """

    def forward(self, x: Tensor) -> Tensor:
        # Along the last axis its gradient takes a quarter of the time that it takes along another.
        return functional.glu(x.movedim(1, -1), -1).movedim(-1, 1)

    def lower(self, program: Program, x: int) -> int:
        """Two halves, a sigmoid, one product."""
        half = program.width(x) // 2
        a, b = program.slice(x, 0, half), program.slice(x, half, 2 * half)
        return program.elementwise("mul", a, program.elementwise("sigmoid", b))
