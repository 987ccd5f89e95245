"""Dense layers over flattened images: units that may see the first few steps of the walk."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.layers import masked
from pixelcnn.layers.condition import ConditionBias
from pixelcnn.program import Program
from pixelcnn.program.units import flat


class Flatten(nn.Module):
    """Images as vectors in coding order; what an image lacks to the full size counts as zero.

    Args:
        rows: of the largest image.
        columns: of the largest image.

    Shapes: ``(n, c, h, w)`` to ``(n, rows * columns * c)``.

    Example:
        >>> Flatten(2, 2)(torch.tensor([[[[1, 2]], [[3, 4]]]]))
        tensor([[1, 3, 2, 4, 0, 0, 0, 0]])
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x: Tensor) -> Tensor:
        return flat(x.movedim(1, -1), self.rows, self.columns)

    def lower(self, program: Program, x: int) -> int:
        return program.flatten(x, self.rows, self.columns)


class Unflatten(nn.Module):
    """The way back: vectors ``(n, rows * columns * out)`` as maps ``(n, out, h, w)`` of an image's size.

    Args:
        rows: of the largest image.
        columns: of the largest image.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, y: Tensor, image: Tensor) -> Tensor:
        maps = y.unflatten(1, (self.rows, self.columns, -1)).permute(0, 3, 1, 2)
        return maps[:, :, : image.shape[2], : image.shape[3]]

    def lower(self, program: Program, y: int, image: int) -> int:
        return program.unflatten(y, self.rows, self.columns)


class UnitBias(ConditionBias):
    """A condition's bias of units. They belong to no position, so each sees all of a map.

    Args:
        kind: ``label`` (integers ``(n,)``), ``vector`` (``(n, size)``) or ``map`` (``(n, size, h, w)``).
        size: classes, or features of the vector or map.
        width: units of the layer.
        rows: of the largest map; what a map lacks counts as zero.
        columns: of the largest map.

    Shapes: ``(n, width)``.

    Example:
        >>> UnitBias("map", 2, 5, rows=3, columns=4)(torch.zeros(1, 2, 3, 3)).shape
        torch.Size([1, 5])
    """

    def __init__(self, kind: str, size: int, width: int, rows: int, columns: int) -> None:
        whole = kind == "map"
        super().__init__(
            "vector" if whole else kind, size * rows * columns if whole else size, width
        )
        self.flatten = Flatten(rows, columns) if whole else None

    def forward(self, condition: Tensor | None) -> Tensor:
        if self.flatten is not None and condition is not None:
            condition = self.flatten(condition)
        return super().forward(condition).flatten(1)

    def lower(self, program: Program, condition: int | None) -> int:
        if self.flatten is None or condition is not None:
            return super().lower(program, condition)
        weight = self.weight.detach()
        return program.flat_condition(weight, self.flatten.rows, self.flatten.columns)


class MaskedLinear(nn.Module):
    """A dense layer whose units have bounds: how many first steps of a sequence each may have seen.

    A unit reads the units whose bounds are no larger than its own. The stored weight is whole;
    ``forward`` multiplies it with the mask.

    Reference: Germain et al., MADE: Masked Autoencoder for Distribution Estimation, 2015, section 4.

    Args:
        inputs: bounds of the input units, int64 ``(inputs,)``; step i itself has the bound i + 1.
        outputs: bounds of the output units, int64 ``(outputs,)``; what predicts step i has the bound i.
        bias: add a bias to each output.

    Attributes:
        inner: whether it lies between hidden units: inputs and outputs are the same bounds.

    Shapes: ``(n, inputs)`` to ``(n, outputs)``.

    Example:
        >>> layer = MaskedLinear(torch.tensor([1, 2]), torch.tensor([0, 1]))
        >>> layer.mask.int().tolist(), layer.live_weights
        ([[0, 0], [1, 0]], 1)
    """

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor, *, bias: bool = True) -> None:
        super().__init__()
        self.inner = inputs is outputs
        self.weight = nn.Parameter(torch.empty(len(outputs), len(inputs)))
        mask = inputs <= outputs[:, None]
        self.register_buffer("mask", mask, persistent=False)
        self.bias = nn.Parameter(torch.zeros(len(outputs))) if bias else None
        self.reset_parameters()

    @property
    def live_weights(self) -> int:
        """Weights that the mask leaves alive."""
        return int(self.mask.sum())

    def reset_parameters(self) -> None:
        """Weights and bias as :func:`pixelcnn.layers.masked.draw` makes them."""
        masked.draw(self.weight, self.mask, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"

    def lower(self, program: Program, x: int) -> int:
        weight = (self.weight * self.mask).detach()
        bias = None if self.bias is None else self.bias.detach()
        return program.dense(x, weight, self.mask, bias)
