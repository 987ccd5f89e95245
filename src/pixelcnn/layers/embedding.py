"""Levels as features: a learned vector for each of them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.program import Program

NOISE = 0.3
"""Standard deviation of what is added to the waves, each of which has one of 1."""


class CodeEmbedding(nn.Module):
    """Looks up a learned vector for the code of each channel.

    Codes of a quantiser are names, which no number could stand for; and of 256 grey levels, a vector tells
    neighbours apart that a number between 0 and 1 does not. Vectors start as waves of the level, from half a
    period over all levels to half a period from one to the next, with noise: near levels start alike.

    Reference: van den Oord, Vinyals and Kavukcuoglu, Neural Discrete Representation Learning, 2017,
    section 3, whose priors over code maps embed the codes so. The start is ours; waves of a level as
    inputs are those of Kingma et al., Variational Diffusion Models, 2021, appendix C.

    Args:
        channels: image channels, each with a table of its own.
        codes: levels of a channel.
        width: features of a code.

    Shapes: integers ``(n, channels, h, w)`` to ``(n, channels * width, h, w)``, channel-major.

    Example:
        >>> CodeEmbedding(1, 512, 4)(torch.tensor([[[[0, 511, 3]]]])).shape
        torch.Size([1, 4, 1, 3])
    """

    def __init__(self, channels: int, codes: int, width: int) -> None:
        super().__init__()
        # First, so that whoever limits what may be allocated is asked before work of this size is done.
        noise = NOISE * torch.randn(channels, codes, width)
        frequencies = (codes - 1.0) ** (torch.arange(width) / max(width - 1, 1))
        waves = torch.cos(math.pi * torch.linspace(0, 1, codes)[:, None] * frequencies)
        self.weight = nn.Parameter(math.sqrt(2) * waves + noise)

    def forward(self, codes: Tensor) -> Tensor:
        channels, count, _ = self.weight.shape
        first = torch.arange(channels, device=codes.device)[:, None, None] * count
        return (
            functional.embedding(codes + first, self.weight.flatten(0, 1))
            .movedim(1, -2)
            .flatten(-2)
            .movedim(-1, 1)
        )

    def lower(self, program: Program, codes: int) -> int:
        """A look-up in the same table."""
        return program.lookup(codes, self.weight.detach())

    def extra_repr(self) -> str:
        return "{}, {}, {}".format(*self.weight.shape)
