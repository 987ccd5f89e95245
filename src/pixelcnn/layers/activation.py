"""Elementwise activations by name."""

from collections.abc import Callable
from typing import Literal

from torch import nn

from pixelcnn.config import check_choice

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
