"""Dropout from a generator of its own."""

import torch
from torch import Tensor, nn

from pixelcnn.program import Program


class Dropout(nn.Dropout):
    """Zeroes features at random in training, and divides the others by the share that is kept.

    Attributes:
        generator: draws what is zeroed, and lies on the features' device; None for PyTorch's global one.
            It is no part of the state dict. One that is given leaves the global one alone, so trainings
            in several threads do not disturb each other.

    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.

    Example:
        >>> layer = Dropout(0.5)
        >>> layer.generator = torch.Generator().manual_seed(0)
        >>> first = layer(torch.ones(8))
        >>> layer.generator = torch.Generator().manual_seed(0)
        >>> torch.equal(layer(torch.ones(8)), first), sorted(set(first.tolist()))
        (True, [0.0, 2.0])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.generator is None:
            return super().forward(x)
        kept = 1 - self.p
        if kept == 0:
            return torch.zeros_like(x)
        return x * torch.empty_like(x).bernoulli_(kept, generator=self.generator).div_(kept)

    def lower(self, program: Program, x: int) -> int:
        return x


def set_dropout_generator(module: nn.Module, generator: torch.Generator | None) -> None:
    """Has all dropout inside a module draw from a generator, or from PyTorch's global one if None."""
    for layer in module.modules():
        if isinstance(layer, Dropout):
            layer.generator = generator
