"""What masked layers have in common: their weights before training, and what their masks switch off."""

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def draw(weight: nn.Parameter, mask: Tensor, bias: nn.Parameter | None) -> None:
    """Uniform weights of variance 1 / (live inputs of each output), zero bias (LeCun et al., 1998)."""
    live = mask.sum(tuple(range(1, mask.ndim)), keepdim=True).clamp(min=1)
    weight.uniform_(-1, 1).mul_((3 / live).sqrt()).mul_(mask)
    if bias is not None:
        bias.zero_()


def masked_weights(module: nn.Module) -> int:
    """Stored weights in a module that a mask switches off.

    Example:
        >>> from pixelcnn.layers import MaskedConv2d
        >>> masked_weights(MaskedConv2d((0,), (0, 0), (3, 3), sees_itself=False))
        10
    """
    masked: Any = (layer for layer in module.modules() if hasattr(layer, "live_weights"))
    return sum(layer.weight.numel() - layer.live_weights for layer in masked)
