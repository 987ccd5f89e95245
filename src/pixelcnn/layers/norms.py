"""Normalisation that keeps the coding order: over the features of one position, never over space."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pixelcnn.masks import Features
from pixelcnn.program import Program
from pixelcnn.surroundings import transformed


class PositionNorm(nn.Module):
    """Divides the features of each position and colour by their root mean square.

    Statistics over space, as batch, instance or group norm take them, would let a pixel see its future;
    statistics over the colours of a pixel would let a channel see the later ones.

    Reference: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019; ``centred``: Ba, Kiros and
    Hinton, Layer Normalization, 2016.

    Args:
        features: colours of the features.
        epsilon: added to the mean square.
        centred: take the mean of each position and colour off first, and learn a bias.

    Shapes: ``(n, features, h, w)`` to the same.

    Example:
        >>> x = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
        >>> PositionNorm((0, 0))(x).flatten()
        tensor([0.8485, 1.1314], grad_fn=<ViewBackward0>)
        >>> PositionNorm((0, 0), centred=True)(x).detach().flatten()
        tensor([-1.0000,  1.0000])
    """

    group: Tensor
    members: Tensor

    def __init__(self, features: Features, epsilon: float = 1e-6, *, centred: bool = False) -> None:
        super().__init__()
        self.features, self.epsilon, self.centred = features, epsilon, centred
        self.weight = nn.Parameter(torch.ones(len(features)))
        self.bias = nn.Parameter(torch.zeros(len(features))) if centred else None
        colours = sorted(set(features))
        self._sizes = [features.count(colour) for colour in colours]
        group = torch.tensor([colours.index(c) for c in features])
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("members", group.argsort(stable=True), persistent=False)
        in_order = all(before <= after for before, after in pairwise(features))
        self._runs = len(colours) if in_order and len(set(self._sizes)) == 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return self._scaled(x)
        y = self._scaled(x - self._means(x)[:, self.group])
        return y + self.bias.to(x.dtype)[:, None, None]

    def _scaled(self, x: Tensor) -> Tensor:
        if self._runs and not transformed():
            # In runs of equal length the colours are one more dimension, and the norm a few passes.
            runs = x.movedim(1, -1).unflatten(-1, (self._runs, -1))
            y: Tensor = _RootMeanSquare.apply(runs, self.weight, self.epsilon)
            return y.flatten(-2).movedim(-1, 1)
        squares = x.float().square() if x.dtype in (torch.bfloat16, torch.float16) else x.square()
        scale = (self._means(squares) + self.epsilon).rsqrt()[:, self.group]
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)[:, None, None]

    def _means(self, x: Tensor) -> Tensor:
        """The mean of each colour, ``(n, colours, h, w)``."""
        means = [x[:, members].mean(1) for members in self.members.split(self._sizes)]
        return torch.stack(means, 1)

    def lower(self, program: Program, x: int) -> int:
        """The norm primitive."""
        bias, groups = None if self.bias is None else self.bias.detach(), self.group.tolist()
        gain, centred = self.weight.detach(), self.centred
        return program.norm(x, gain, groups, self.epsilon, centred=centred, bias=bias)

    def extra_repr(self) -> str:
        centred = ", centred" if self.centred else ""
        return f"{len(self.features)}, colours={len(self._sizes)}{centred}"


class _RootMeanSquare(Function):
    """Norm of the last dimension, with its gradient written out: several times faster than step by step.

    Statistics are kept in at least single precision, everything else in that of the features.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        precise = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=precise)
        scale = (length.square() / x.shape[-1] + epsilon).rsqrt()
        ctx.save_for_backward(x, weight, scale)
        return x * scale.to(x.dtype) * weight.to(x.dtype).view(x.shape[-2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        gain, factor = weight.to(x.dtype).view(x.shape[-2:]), scale.to(x.dtype)
        of_gain = grad * x * factor
        along = (of_gain * gain).sum(-1, keepdim=True, dtype=scale.dtype)
        along = along * scale.square() / x.shape[-1]
        of_x = torch.addcmul(grad * gain * factor, x, along.to(x.dtype), value=-1)
        of_weight = of_gain.flatten(0, -3).sum(0, dtype=scale.dtype).flatten()
        return of_x, of_weight.to(weight.dtype), None
