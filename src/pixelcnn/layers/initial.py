"""What the weights of a masked layer are before training."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def draw(weight: nn.Parameter, mask: Tensor, bias: nn.Parameter | None) -> None:
    """Uniform weights of variance 1 / (live inputs of each output), zero bias (LeCun et al., 1998)."""
    live = mask.sum(tuple(range(1, mask.ndim)), keepdim=True).clamp(min=1)
    weight.uniform_(-1, 1).mul_((3 / live).sqrt()).mul_(mask)
    if bias is not None:
        bias.zero_()
