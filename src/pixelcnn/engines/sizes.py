"""What the dimensions of a value's tensor hold, and how much of it: sizes that are known by name only."""

import math
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixelcnn.program import Program, Unlowerable

Place = tuple[int, ...]
"""What a dimension of a tensor holds: features, or images, rows and columns, which may be joined in one."""

FEATURES: Place = ()
IMAGES, ROWS, COLUMNS = (0,), (1,), (2,)
SECOND, LAST = (IMAGES, FEATURES, ROWS, COLUMNS), (IMAGES, ROWS, COLUMNS, FEATURES)

NAMES = ("n", "height", "width")
UNLIKELY, APART = -(10**30), 10**6
"""The first of the numbers that stand for sizes, which no network has for anything else; their distance."""
MOST_MORE, MOST_CLOCK = 1000, 64


class Value(NamedTuple):
    """A node of the program, as the network holds it.

    Attributes:
        number: of the node.
        places: what the dimensions of its tensor hold; one of them is its features.
    """

    number: int
    places: tuple[Place, ...] = SECOND

    @property
    def dimension(self) -> int:
        """That of its features."""
        return self.places.index(FEATURES)

    @property
    def last(self) -> bool:
        """Whether its features stand in the last dimension."""
        return self.places[-1] == FEATURES


@dataclass(frozen=True, eq=False)
class Size:
    """How many images, rows or columns there are, or images times rows, and so many more.

    Where an index is wanted it is one, so that ``torch.ones(n, 1, h, w)`` and ``gain.expand(n, f,
    h, w)`` are a number a feature, the same at all positions; :func:`named` knows what ``int`` makes of it.

    Attributes:
        place: what is counted.
        clock: of the grid that has so many rows and columns.
        more: than these.
    """

    place: Place
    clock: int = 1
    more: int = 0

    def __add__(self, other: int) -> "Size":
        return replace(self, more=self.more + other)

    def __sub__(self, other: int) -> "Size":
        return self + -other

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int) and other > 1:  # it may be as many
            self._refuse()
        return isinstance(other, Size) and astuple(self) == astuple(other)

    def __hash__(self) -> int:
        return hash(astuple(self))

    def __mul__(self, other: Any) -> "Size":
        if type(other) is int and other == 1:
            return self
        if not isinstance(other, Size) or self.more or other.more:
            self._refuse()
        return Size(self.place + other.place, max(self.clock, other.clock))

    def __index__(self) -> int:
        return 1

    def __int__(self) -> int:
        numbers = (
            UNLIKELY - APART * (axis + 3 * (self.clock if axis else 1)) for axis in self.place
        )
        return math.prod(numbers) + self.more

    def __repr__(self) -> str:
        grid = f"/{self.clock}" if self.clock > 1 else ""
        name = " ".join(NAMES[axis] + (grid if axis else "") for axis in self.place)
        return name + (f"{self.more:+d}" if self.more else "")

    def _refuse(self, *others: Any) -> Any:
        raise Unlowerable(f"a number made of {self}, which a program does not know")

    __rmul__ = __mul__
    __floordiv__ = __truediv__ = __rtruediv__ = __mod__ = __float__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = _refuse


def size(place: Place, clock: int) -> Size:
    """Of a grid; there are as many images on all of them."""
    return Size(place, 1 if place == IMAGES else clock)


@dataclass(frozen=True)
class Spread:
    """A value whose features stand in any dimensions of a tensor.

    Attributes:
        number: of the node.
        index: which feature stands where, int64, a dimension for each that holds features.
        places: what the dimensions hold, ``FEATURES`` where one of the index stands, in its order.
        clock: of its grid.
    """

    number: int
    index: Tensor
    places: tuple[Place, ...]
    clock: int

    def __repr__(self) -> str:
        return f"a tensor {self.shape}"

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the tensor."""
        parts = iter(self.index.shape)
        return tuple(next(parts) if p == FEATURES else size(p, self.clock) for p in self.places)


def spread(program: Program, x: Value) -> Spread:
    """A value as it is."""
    clock = program.nodes[x.number].clock
    return Spread(x.number, torch.arange(program.width(x.number)), x.places, clock)


PLACES = (IMAGES, ROWS, COLUMNS, IMAGES + ROWS, ROWS + COLUMNS, IMAGES + ROWS + COLUMNS)
NUMBERS = {
    int(size): size for size in (Size(p, c) for c in range(MOST_CLOCK, 0, -1) for p in PLACES)
}


def named(number: Any) -> Any:
    """The size that ``int`` made a number of, or sums and products of such numbers; others as they are."""
    if type(number) is not int or abs(number) < -UNLIKELY:
        return number
    near = number if number in NUMBERS else (number + APART // 2) // APART * APART
    more = number - near
    return NUMBERS[near] + more if near in NUMBERS and abs(more) < MOST_MORE else number
