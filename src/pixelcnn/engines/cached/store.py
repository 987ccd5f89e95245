"""Where the cached engine keeps values: some rows of each, stored as [row][column][image][feature].

So the current position of a value, and a whole row of it, are matrices without gaps.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.engines.stages import Reach, Schedule, reach_of, read_again
from pixelcnn.model import PixelModel
from pixelcnn.program import Condition, Given, Node, Past, Position, Slice


class Place(NamedTuple):
    """The features of another node that a node stands for."""

    number: int
    start: int


class Store:
    """The values of a program's nodes near the current position of n images.

    A value that is read at offsets keeps as many rows as that takes, with zeros where the image ends; one
    that is read by the rows of a finer grid keeps its own; others keep the current position alone. A slice,
    and the past of a node, have no place of their own.

    Args:
        model: gives the type, the device and the size of the image.
        times: when the nodes of its program are computed.
        n: number of images.
        condition: checked by the model; of a map, a row of features is made when the row begins.

    Attributes:
        current: the row that the walk is in.
    """

    def __init__(
        self,
        model: PixelModel,
        times: Schedule,
        n: int,
        condition: Tensor | None,
    ) -> None:
        program = times.program
        self.program, self.n, self.condition = program, n, condition
        self.columns, self.current = model.shape.width, 0
        self._kind = {"dtype": model.dtype, "device": model.device}
        self.places = [self._place(number) for number in range(len(program.nodes))]
        self.reach = reach_of(program, (place.number for place in self.places))
        stored = {self.places[number].number for number in times.by_row | read_again(program)}
        self._scratch: dict[tuple[int, ...], Tensor] = {}
        self.rows: dict[int, Tensor] = {}
        self.now: dict[int, Tensor] = {}
        for number, node in enumerate(program.nodes):
            if self.places[number].number != number:
                continue
            reach = self.reach[number]
            constant = isinstance(node, Condition) and node.kind != "map"
            if constant and reach == Reach():
                self.now[number] = self._begin(node, 0)
            elif isinstance(node, Given | Position) or number in stored or reach != Reach():
                width = self.width(node.clock) + reach.left + reach.right
                self.rows[number] = self.zeros(reach.up + 1, width, n, node.width)
            else:
                self.now[number] = self.zeros(n, node.width)

    def zeros(self, *shape: int) -> Tensor:
        """Zeros of the model's type."""
        return torch.zeros(*shape, **self._kind)  # type: ignore[call-overload]

    def scratch(self, *shape: int) -> Tensor:
        """Room for a moment, shared by all that need so much."""
        if shape not in self._scratch:
            self._scratch[shape] = self.zeros(*shape)
        return self._scratch[shape]

    def width(self, clock: int) -> int:
        """Columns of a grid."""
        return -(-self.columns // clock)

    def at(self, number: int, column: int) -> Tensor:
        """The value at a column of the current row, ``(n, features)``; a view."""
        base, part = self._part(number)
        if base in self.now:
            return self.now[base][:, part]
        return self.rows[base][-1, self.reach[base].left + column, :, part]

    def row(self, number: int) -> Tensor:
        """The current row of a value, ``(columns, n, features)``; a view."""
        return self.window(number, 0, 0, 1, self.width(self.program.nodes[number].clock))

    def window(self, number: int, down: int, right: int, step: int, count: int) -> Tensor:
        """Every ``step``-th column of a row, from column ``right`` on, ``(count, n, features)``; a view."""
        base, part = self._part(number)
        if base in self.now:
            return self.now[base][:, part].expand(count, -1, -1)
        first = self.reach[base].left + right
        return self.rows[base][-1 + down, first : first + step * (count - 1) + 1 : step, :, part]

    def next_row(self, row: int) -> None:
        """Moves values up if a row of their grid begins; the new row is written before it is read."""
        self.current = row
        for number, stored in self.rows.items():
            if row % self.program.nodes[number].clock == 0:
                for below in range(1, len(stored)):
                    stored[below - 1] = stored[below]
                node = self.program.nodes[number]
                if isinstance(node, Condition | Position):
                    self.row(number)[:] = self._begin(node, row // node.clock)

    def _begin(self, node: Node, row: int) -> Tensor:
        """What is given for a row of a grid, ``(columns, n, features)`` or what expands to it."""
        if isinstance(node, Position):
            return (node.rows[row] + node.columns[: self.width(node.clock)])[:, None]
        assert isinstance(node, Condition) and self.condition is not None
        if node.kind != "map":
            return node.values(self.condition)
        at = slice(row * node.clock, row * node.clock + 1)
        return node.values(self.condition[:, :, at, :: node.clock])[:, 0].transpose(0, 1)

    def _place(self, number: int) -> Place:
        node = self.program.nodes[number]
        if isinstance(node, Slice):
            base, start = self._place(node.sources[0])
            return Place(base, start + node.start)
        return self._place(node.sources[0]) if isinstance(node, Past) else Place(number, 0)

    def _part(self, number: int) -> tuple[int, slice]:
        base, start = self.places[number]
        return base, slice(start, start + self.program.width(number))
