"""Codes as features: a learned vector for each level, where levels have names and no size."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.program import Program


class CodeEmbedding(nn.Module):
    """Looks up a learned vector for the code of each channel.

    Reference: van den Oord, Vinyals and Kavukcuoglu, Neural Discrete Representation Learning, 2017,
    section 3, whose priors over code maps embed the codes so.

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
        self.weight = nn.Parameter(torch.randn(channels, codes, width))

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
