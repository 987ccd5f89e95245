"""What a whole image is conditioned on, as a bias of a layer."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pixelcnn.config import check_choice, check_integer
from pixelcnn.errors import ConfigError
from pixelcnn.program import Program, Unlowerable

Condition = Literal["label", "vector", "map"]
CONDITIONS: tuple[Condition | None, ...] = (None, *get_args(Condition))
MOST = 2**31
"""Features at most. Networks take fewer, but a dense layer has those of all positions of a map."""


class ConditionBias(nn.Module):
    """A learned linear function of the condition, to be added to a layer's output.

    Reference: van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, eq. 3 and 4.

    Args:
        kind: ``label`` (integers ``(n,)``), ``vector`` (``(n, size)``) or ``map`` (``(n, size, h, w)``).
        size: classes, or features of the vector or map.
        width: features of the layer.
        stride: rows and columns of the image to one of the layer; such a layer at ``(y, x)`` is given the
            map at ``(stride y, stride x)``.

    Shapes: ``(n, width, 1, 1)``, or ``(n, width, ceil(h / stride), ceil(w / stride))`` for a map.

    Example:
        >>> ConditionBias("label", 10, 4)(torch.tensor([3, 1])).shape
        torch.Size([2, 4, 1, 1])
    """

    def __init__(self, kind: str, size: int, width: int, stride: int = 1) -> None:
        super().__init__()
        check_choice("condition", kind, CONDITIONS[1:])
        check_integer("condition_size", size, 1, MOST)
        self.kind, self.size, self.width, self.stride = kind, size, width, stride
        # Classes, and features of size one, begin as a bias of a tenth.
        spread = 0.1 if kind == "label" else 0.1 * size**-0.5
        self.weight = nn.Parameter(torch.randn(size, width) * spread)

    def forward(self, condition: Tensor | None) -> Tensor:
        if condition is None:
            raise ConfigError(f"this network is conditional, and is given no {self.kind}")
        if self.kind == "label":
            return self.weight[condition][:, :, None, None]
        if self.kind == "vector":
            return (condition.to(self.weight.dtype) @ self.weight)[:, :, None, None]
        condition = condition[:, :, :: self.stride, :: self.stride]
        return torch.einsum("ndhw,df->nfhw", condition.to(self.weight.dtype), self.weight)

    def lower(self, program: Program, condition: int | None) -> int:
        """The condition primitive, which reads the condition itself; a node would be something else."""
        if condition is not None:
            raise Unlowerable("a bias from the condition is given another value")
        return program.condition(self.kind, self.weight.detach(), self.stride)

    def extra_repr(self) -> str:
        return f"{self.kind}, {self.size}, {self.width}"
