"""Normalisation that keeps the coding order: over the features of one position, never over space."""

import torch
from torch import Tensor, nn

from pixelcnn.masks import Features
from pixelcnn.program import Program


class PositionNorm(nn.Module):
    """Divides the features of each position and colour by their root mean square.

    Statistics over space, as batch, instance or group norm take them, would let a pixel see its future;
    statistics over the colours of a pixel would let a channel see the later ones.

    Reference: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    Args:
        features: colours of the features.
        epsilon: added to the mean square.

    Shapes: ``(n, features, h, w)`` to the same.

    Example:
        >>> PositionNorm((0, 0))(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).flatten()
        tensor([0.8485, 1.1314], grad_fn=<ViewBackward0>)
    """

    group: Tensor

    def __init__(self, features: Features, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.features, self.epsilon = features, epsilon
        self.weight = nn.Parameter(torch.ones(len(features)))
        colours = sorted(set(features))
        self._members = [[i for i, c in enumerate(features) if c == colour] for colour in colours]
        group = torch.tensor([colours.index(c) for c in features])
        self.register_buffer("group", group, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        squares = x.float().square() if x.dtype in (torch.bfloat16, torch.float16) else x.square()
        if len(self._members) == 1:
            scale = (squares.mean(1, keepdim=True) + self.epsilon).rsqrt()
        else:
            means = [squares[:, members].mean(1) for members in self._members]
            scale = (torch.stack(means, 1) + self.epsilon).rsqrt()[:, self.group]
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)[:, None, None]

    def lower(self, program: Program, x: int) -> int:
        """The norm primitive."""
        return program.norm(x, self.weight.detach(), self.group.tolist(), self.epsilon)

    def extra_repr(self) -> str:
        return f"{len(self.features)}, colours={len(self._members)}"
