"""What all primitives have in common."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from pixelcnn.errors import ConfigError

ROW_START = -1
"""Stage of a feature that depends on finished rows only: computed for a whole row before its first pixel."""


UNITS = 0
"""Clock of a value without a grid: units of a dense network, see :mod:`pixelcnn.program.units`."""


class Unlowerable(ConfigError):
    """A network does something that no program can say; the message names it."""


class Reader(Protocol):
    """Hands a primitive what it reads, at all positions that are computed together."""

    def own(self, source: int) -> Tensor:
        """A source at the positions themselves, ``(n, positions, features)``."""
        ...

    def at(
        self, source: int, down: int, right: int, *, stride: int, up: int, phase: tuple[int, int]
    ) -> Tensor:
        """A source at an offset, as :class:`~pixelcnn.program.sums.Tap` says; zeros outside the image."""
        ...

    def whole(self, source: int) -> Tensor:
        """A source at all positions of its grid, ``(n, rows, columns, features)``."""
        ...

    def place(self) -> tuple[Tensor, Tensor]:
        """Row and column of the positions on their grid, int64 ``(positions,)`` each."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(abc.ABC):
    """One primitive: what it reads, when it can be computed, and what it is.

    Attributes:
        sources: numbers of the nodes it reads.
        width: features of its value.
        clock: rows, and columns, of the image from one position of its grid to the next; ``UNITS`` for one
            vector of features that belongs to the whole image.
    """

    op: ClassVar[str]
    """The name, by which engines know how to compute it."""

    sources: tuple[int, ...] = ()
    width: int
    clock: int = 1

    @abc.abstractmethod
    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        """When each feature can be computed, int64 ``(width,)``; see :mod:`pixelcnn.engines.stages`.

        Args:
            read: stages of the sources.
            steps: of a pixel.

        Raises:
            Unlowerable: it reads what comes later.
        """

    @abc.abstractmethod
    def compute(self, read: Reader) -> Tensor:
        """The value at some positions, ``(n, positions, width)``; of units, ``(n, 1, width)``."""

    @abc.abstractmethod
    def seen(self, read: Reader) -> Tensor:
        """Whether each feature depends on what the sources stand for, bool ``(n, positions, width)``.

        The reader hands out sets in place of numbers: entry i of a value says whether it depends on
        source i of the image.
        """

    @property
    def notes(self) -> str:
        """What a listing says beside the name."""
        return ""

    def __str__(self) -> str:
        read = ", ".join(f"%{source}" for source in self.sources)
        grid = f"/{self.clock}" if self.clock > 1 else " units" if self.clock == UNITS else ""
        return f"{self.op}({read}) -> {self.width}{grid}" + (
            f"  {self.notes}" if self.notes else ""
        )


def latest(read: Sequence[Tensor]) -> Tensor:
    """The stage of features that need those of the same number in every source."""
    return torch.stack(list(read)).amax(0)


def always(width: int) -> Tensor:
    """The stage of what depends on no pixel of its row."""
    return torch.full((width,), ROW_START)
