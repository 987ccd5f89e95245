"""Masked dense layers: units that may see the first few steps of a sequence."""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.program import Program, Unlowerable

NO_POSITION = "the units of a dense network have no position, so no program can say it"


class MaskedLinear(nn.Module):
    """A dense layer whose units have bounds: how many first steps of a sequence each may have seen.

    A unit reads the units whose bounds are no larger than its own. The stored weight is whole;
    ``forward`` multiplies it with the mask.

    Reference: Germain et al., MADE: Masked Autoencoder for Distribution Estimation, 2015, section 4.

    Args:
        inputs: bounds of the input units, int64 ``(inputs,)``; step i itself has the bound i + 1.
        outputs: bounds of the output units, int64 ``(outputs,)``; what predicts step i has the bound i.
        bias: add a bias to each output.

    Shapes: ``(n, inputs)`` to ``(n, outputs)``.

    Example:
        >>> layer = MaskedLinear(torch.tensor([1, 2]), torch.tensor([0, 1]))
        >>> layer.mask.int().tolist(), layer.live_weights
        ([[0, 0], [1, 0]], 1)
    """

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor, *, bias: bool = True) -> None:
        super().__init__()
        mask = inputs <= outputs[:, None]
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(outputs), len(inputs)))
        self.bias = nn.Parameter(torch.zeros(len(outputs))) if bias else None
        self.reset_parameters()

    @property
    def live_weights(self) -> int:
        """Weights that the mask leaves alive."""
        return int(self.mask.sum())

    def reset_parameters(self) -> None:
        """Uniform weights of variance 1 / (live inputs of each output), zero bias (LeCun et al., 1998)."""
        with torch.no_grad():
            live = self.mask.sum(1, keepdim=True).clamp(min=1)
            self.weight.uniform_(-1, 1).mul_((3 / live).sqrt()).mul_(self.mask)
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"

    def lower(self, program: Program, x: int) -> NoReturn:
        """Refuses, with the reason."""
        raise Unlowerable(NO_POSITION)
