"""Values that are given, not computed from others: the image, the condition, places and the past."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn.program.node import Node, Reader, Unlowerable, always


@dataclass(frozen=True, eq=False, kw_only=True)
class Given(Node):
    """A value that whoever computes the program knows."""

    def compute(self, read: Reader) -> Tensor:
        raise AssertionError(f"{self.op} is given, not computed")

    seen = compute


class Input(Given):
    """The scaled levels, or the levels themselves where the network embeds them."""

    op = "input"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return (
            torch.arange(self.width) + 1 if steps > 1 else torch.ones(self.width, dtype=torch.int64)
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Condition(Given):
    """A linear function of the condition: of a label's one-hot code, a vector, or a map's position.

    Attributes:
        kind: label, vector or map.
        weight: ``(size, width)``.
    """

    kind: str
    weight: Tensor

    op = "condition"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return always(self.width)

    def values(self, condition: Tensor) -> Tensor:
        """What it gives: ``(n, width)``, or ``(n, h, w, width)`` for a map ``(n, size, h, w)``."""
        if self.kind == "label":
            return self.weight[condition]
        values = condition if self.kind == "vector" else condition.movedim(1, -1)
        return values.to(self.weight.dtype) @ self.weight

    @property
    def notes(self) -> str:
        return self.kind


@dataclass(frozen=True, eq=False, kw_only=True)
class Position(Node):
    """What a row and a column stand for: ``rows[y] + columns[x]`` at position (y, x) of its grid.

    Attributes:
        rows: ``(at least the grid's rows, width)``.
        columns: ``(at least the grid's columns, width)``.
    """

    rows: Tensor
    columns: Tensor

    op = "position"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return always(self.width)

    def compute(self, read: Reader) -> Tensor:
        row, column = read.place()
        return (self.rows[row] + self.columns[column])[None]

    def seen(self, read: Reader) -> Tensor:
        row, _ = read.place()
        return torch.zeros(1, len(row), self.width, dtype=torch.bool)


@dataclass(frozen=True, eq=False, kw_only=True)
class Past(Given):
    """What a later node was at earlier positions; its source is that node, once it is bound."""

    op = "past"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        """Known after the pixel, as far as its readers care."""
        return torch.full((self.width,), steps)


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Node):
    """The features that a table has for the level of each channel, channel-major.

    Attributes:
        table: ``(channels, levels, features)``.
    """

    table: Tensor

    op = "lookup"

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return read[0].repeat_interleave(self.width // len(read[0]))

    def compute(self, read: Reader) -> Tensor:
        levels = read.own(self.sources[0]).long()
        channels = range(levels.shape[-1])
        return torch.cat([self.table[channel][levels[..., channel]] for channel in channels], -1)

    def seen(self, read: Reader) -> Tensor:
        return read.own(self.sources[0]).repeat_interleave(self.table.shape[2], -1)


def check_past(
    number: int, node: Past, nodes: Sequence[Node], stages: Sequence[Tensor], steps: int
) -> None:
    """A node may be read to its left only if it is known by then, and to its right only after the row.

    Raises:
        Unlowerable: it is read otherwise.
    """
    if not node.sources:
        raise Unlowerable(f"node %{number} is the past of nothing")
    late = bool((stages[node.sources[0]] > steps).any())
    for reader in nodes:
        if number not in reader.sources:
            continue
        offsets = [(tap.down, tap.right) for tap in getattr(reader, "taps", ())]
        if not offsets or (0, 0) in offsets:
            raise Unlowerable(f"node %{number} is read at its own position")
        if late and any(down == 0 and right < 0 for down, right in offsets):
            raise Unlowerable(f"node %{number} is read on both sides of its position")
