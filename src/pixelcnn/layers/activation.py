"""Elementwise activations."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.config import check_choice
from pixelcnn.program import Program

Activation = Literal["relu", "prelu", "elu", "silu"]
ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "relu": lambda width: nn.ReLU(),
    "prelu": nn.PReLU,
    "elu": lambda width: nn.ELU(),
    "silu": lambda width: nn.SiLU(),
}


def activation(name: str, width: int) -> nn.Module:
    """An activation for ``width`` features; ``prelu`` learns one slope a feature.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> activation("prelu", 4)
        PReLU(num_parameters=4)
    """
    check_choice("activation", name, tuple(ACTIVATIONS))
    return ACTIVATIONS[name](width)


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
