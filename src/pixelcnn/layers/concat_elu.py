"""The concatenated exponential linear unit."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.program import Program


class ConcatELU(nn.Module):
    """``elu(x)`` and ``elu(-x)``, one after the other: twice the features, of the same colours.

    Reference: Salimans et al., PixelCNN++, 2017, after the concatenated ReLU of Shang et al., 2016.

    Shapes: ``(n, f, h, w)`` to ``(n, 2 f, h, w)``.

    Example:
        >>> ConcatELU()(torch.tensor([2.0]).reshape(1, 1, 1, 1)).flatten()
        tensor([ 2.0000, -0.8647])
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([functional.elu(x), functional.elu(-x)], 1)

    def lower(self, program: Program, x: int) -> int:
        """Two functions, the second one of the negative."""
        negative = program.elementwise("scale", x, constants=(-1.0,))
        both = (program.elementwise("elu", value, constants=(1.0,)) for value in (x, negative))
        return program.cat(*both)
