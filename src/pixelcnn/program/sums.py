"""Linear maps of what lies at offsets: the convolutions of a network, one kernel element after the other."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.program.node import ROW_START, Node, Reader, Unlowerable, always


class Tap(NamedTuple):
    """A linear map from the features at an offset.

    Attributes:
        down: rows of the source's grid, at most 0.
        right: columns of the source's grid.
        weight: ``(out, in)``, masked; of a depthwise tap ``(features,)``.
        live: which weights the mask leaves, bool, of the same shape.
        phase: of an upsampling tap: the row and column within a source's cell that it writes.
    """

    down: int
    right: int
    weight: Tensor
    live: Tensor
    phase: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"({self.down},{self.right})" + (f"@{self.phase}" if any(self.phase) else "")

    @property
    def reads_finished_row(self) -> bool:
        """Whether it reads a row above; to the later rows of a finer grid, the coarse row is one."""
        return self.down < 0 or self.phase[0] > 0

    def stage(self, source: Tensor, steps: int) -> Tensor:
        """The stage that it forces on each output, ``(out,)``, given the stages of its source's features."""
        if self.reads_finished_row:
            available = torch.full_like(source, ROW_START)
        elif self.right == 0 and self.phase[1] == 0:
            available = source
        elif self.right <= 0:
            available = torch.where(source > steps, source, source.clamp(max=0))
        else:
            available = torch.where(source == ROW_START, source, torch.full_like(source, steps + 1))
        live, lowest = self.live.cpu(), torch.full((), ROW_START)
        if live.dim() == 1:
            return torch.where(live, available, lowest)
        return torch.where(live, available[None, :], lowest).amax(1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Node):
    """A sum over taps, and a bias; positions outside the image count as zero.

    Attributes:
        taps: what is read of the source. On a grid ``stride`` times coarser, position (y, x) reads ``(stride
            y + down, stride x + right)``; on one ``up`` times finer ``(y // up + down, x // up + right)``, by
            the taps of phase ``(y % up, x % up)`` alone.
        bias: added to every position, ``(width,)``; None for nothing.
        stride: how much coarser than its source's this grid is.
        up: how much finer.
    """

    taps: tuple[Tap, ...]
    bias: Tensor | None = None
    stride: int = 1
    up: int = 1

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        stage, dead = always(self.width), torch.ones(self.width, dtype=torch.bool)
        for tap in self.taps:
            if tap.down > 0:
                raise Unlowerable(f"{self.op} reads {tap.down} rows below its position")
            stage = torch.maximum(stage, tap.stage(read[0], steps))
            live = tap.live.cpu()
            dead &= ~(live if live.dim() == 1 else live.any(1))
        # What is of no row is not there for a whole row, even for those that have no use for it.
        return stage.where(~dead, read[0].min().clamp(max=0)) if len(read[0]) else stage

    def compute(self, read: Reader) -> Tensor:
        parts = (self.weigh(self._read(read, tap), tap.weight) for tap in self.taps)
        total = reduce(torch.add, parts)
        return total if self.bias is None else total + self.bias

    def seen(self, read: Reader) -> Tensor:
        reads = ((tap, self._read(read, tap).float()) for tap in self.taps)
        return reduce(torch.add, (self.weigh(x, tap.live.to(x)) for tap, x in reads)) > 0

    @staticmethod
    @abc.abstractmethod
    def weigh(values: Tensor, weight: Tensor) -> Tensor:
        """What a tap makes of values ``(..., features)``."""

    def _read(self, read: Reader, tap: Tap) -> Tensor:
        source = self.sources[0]
        return read.at(source, tap.down, tap.right, stride=self.stride, up=self.up, phase=tap.phase)

    @property
    def notes(self) -> str:
        return " ".join(map(str, self.taps))


class Taps(Sum):
    """Matrices: each output is a sum over all features."""

    op = "taps"

    @staticmethod
    def weigh(values: Tensor, weight: Tensor) -> Tensor:
        return values @ weight.T


class Depthwise(Sum):
    """Diagonal matrices: each output is a sum over the feature of its own number."""

    op = "depthwise"

    @staticmethod
    def weigh(values: Tensor, weight: Tensor) -> Tensor:
        return values * weight
