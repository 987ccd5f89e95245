"""Primitives of dense networks: units, which belong to the image as a whole and to no position of it.

Each becomes known in the course of the walk all the same: one that stands for a position after it, any other
with the last unit that it reads. So the stage of a unit is a step of the whole walk, see :func:`walk_stage`;
``ROW_START`` means before the first of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.program.beginnings import Condition
from pixelcnn.program.node import ROW_START, UNITS, Node, Reader, Unlowerable
from pixelcnn.shapes import MAX_SIDE

ROWS_AT_A_TIME = 1024
Number = TypeVar("Number", int, Tensor)


def walk_stage(row: Number, column: Number, steps: int) -> Number:
    """The stage of a unit that becomes known at stage 0 of a pixel; its later stages are the next numbers.

    Rows count as long as rows can be, so the number is the same for images of any size.
    """
    return (row * MAX_SIDE + column) * (steps + 1)


def pixel_stages(rows: int, columns: int, steps: int) -> Tensor:
    """The first stage of each pixel, flattened, int64 ``(rows * columns,)``."""
    pixel = torch.arange(rows * columns)
    return walk_stage(pixel // columns, pixel % columns, steps)


def flat(image: Tensor, rows: int, columns: int) -> Tensor:
    """Features of all positions one after the other: ``(n, h, w, features)`` as ``(n, units)``.

    What the image lacks to the full size is zero.
    """
    missing = (0, 0, 0, columns - image.shape[2], 0, rows - image.shape[1])
    return functional.pad(image, missing).flatten(1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Node):
    """The features of all positions as units, see :func:`flat`.

    Attributes:
        rows: of the largest image.
        columns: of the largest image.
    """

    rows: int
    columns: int
    clock: int = UNITS

    op = "flatten"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        if (read[0] > steps).any():
            raise Unlowerable("flatten of what is known after its row only")
        first = pixel_stages(self.rows, self.columns, steps)
        return (first[:, None] + read[0].clamp(min=0)).flatten()

    def compute(self, read: Reader) -> Tensor:
        return flat(read.whole(self.sources[0]), self.rows, self.columns)[:, None]

    seen = compute

    @property
    def notes(self) -> str:
        return f"{self.rows}x{self.columns}"


@dataclass(frozen=True, eq=False, kw_only=True)
class FlatCondition(Condition):
    """A linear function of all of a map: of its flattened features.

    Attributes:
        weight: ``(rows * columns * size, width)``.
        rows: of the largest image.
        columns: of the largest image.
    """

    rows: int
    columns: int

    op = "flat_condition"

    def values(self, condition: Tensor) -> Tensor:
        """``(n, width)`` for a map ``(n, size, h, w)``."""
        values = flat(condition.movedim(1, -1), self.rows, self.columns)
        return values.to(self.weight.dtype) @ self.weight


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Node):
    """A linear map of units.

    Attributes:
        weight: ``(width, units)``, masked.
        live: which weights the mask leaves, bool, of the same shape.
        bias: ``(width,)``; None for nothing.
    """

    weight: Tensor
    live: Tensor
    bias: Tensor | None = None
    clock: int = UNITS

    op = "dense"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        parts = self.live.cpu().split(ROWS_AT_A_TIME)
        return torch.cat([torch.where(live, read[0], ROW_START).amax(1) for live in parts])

    def compute(self, read: Reader) -> Tensor:
        return functional.linear(read.own(self.sources[0]), self.weight, self.bias)

    def seen(self, read: Reader) -> Tensor:
        x = read.own(self.sources[0]).float()
        return functional.linear(x, self.live.to(x)) > 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Unflatten(Node):
    """Units as features of the positions, the way back from :class:`Flatten`.

    Attributes:
        rows: of the largest image.
        columns: of the largest image.
    """

    rows: int
    columns: int

    op = "unflatten"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        """What is known earlier waits for its position."""
        first = pixel_stages(self.rows, self.columns, steps)
        stage = (read[0].reshape(len(first), -1) - first[:, None]).amax(0).clamp(min=0)
        if (stage > steps).any():
            raise Unlowerable("a position has units that are known after it only")
        return stage

    def compute(self, read: Reader) -> Tensor:
        row, column = read.place()
        units = read.own(self.sources[0]).unflatten(-1, (-1, self.width))
        return units[:, 0, (row * self.columns + column).to(units.device)]

    seen = compute

    @property
    def notes(self) -> str:
        return f"{self.rows}x{self.columns}"
