"""Values on more or fewer positions than their grid has: padded, cut off, and sums that are to be.

Between padding and cutting a tensor is larger or smaller than the image, and little else can read it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from torch import Tensor

from pixelcnn.engines.constants import constant
from pixelcnn.engines.features import cat
from pixelcnn.engines.layout import getitem as features_of
from pixelcnn.engines.layout import spelt_out
from pixelcnn.engines.lowering import itself
from pixelcnn.engines.sizes import (
    COLUMNS,
    IMAGES,
    LAST,
    ROWS,
    SECOND,
    Size,
    Spread,
    Value,
    size,
    spread,
)
from pixelcnn.program import Program, Tap, Unlowerable

Margins = tuple[tuple[int, int], tuple[int, int]]
"""Rows above and below the image, and columns left and right of it; below zero what was cut off."""

NONE: Margins = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Framed:
    """A sum over taps of a value, on more or fewer positions than its grid has.

    Position ``(y, x)`` reads ``(stride y + down, stride x + right) / up``, where that is whole.

    Attributes:
        number: of the node that is read.
        margins: positions beyond the grid's.
        taps: what the sum reads; None for the value itself, with zeros around it.
        bias: added to it.
        stride: how much coarser than its source's the grid is.
        up: how much finer.
        then: functions of each feature of the sum.
    """

    number: int
    margins: Margins
    taps: tuple[Tap, ...] | None = None
    bias: Tensor | None = None
    stride: int = 1
    up: int = 1
    then: tuple[Callable[[Program, Value], Value], ...] = ()

    @property
    def is_crop(self) -> bool:
        """Whether it looks at the value itself, of which rows or columns are left out."""
        margins = (side for sides in self.margins for side in sides)
        return self.taps is None and not self.then and max(margins) <= 0


def clock_of(program: Program, x: Value | Framed) -> int:
    """Of the grid that a value is on."""
    clock = program.nodes[x.number].clock
    return clock * x.stride // x.up if isinstance(x, Framed) else clock


def shape_of(program: Program, x: Value | Framed | Spread) -> tuple[Any, ...]:
    """The sizes of a value's tensor, those of images, rows and columns by name."""
    if not isinstance(x, Framed):
        return (spread(program, x) if isinstance(x, Value) else x).shape
    width = program.width(x.number) if x.taps is None else len(x.taps[0].weight)
    rows, columns = (size(place, clock_of(program, x)) for place in (ROWS, COLUMNS))
    (above, below), (left, right) = x.margins
    return (Size(IMAGES), width, rows + (above + below), columns + (left + right))


def pad(
    program: Program, x: Any, sides: Any, mode: str = "constant", value: float | None = None
) -> Any:
    """Zeros around a value, or rows and columns less of it; or features more, of any number."""
    plain = not any(sides[6:]) and all(isinstance(side, int) for side in sides)
    left, right, above, below, first, last = (*sides, *[0] * 6)[:6]
    if mode != "constant" or not plain or (value and any(sides[:4])) or min(first, last) < 0:
        raise Unlowerable("padding with anything but zeros around the image")
    if (first or last) and isinstance(x, Value) and x.places == SECOND:
        news = [program.like.new_full((number,), value or 0.0) for number in (first, last)]
        before, after = ([constant(program, x, new)] if len(new) else [] for new in news)
        x = cat(program, (*before, x, *after), 1)
    elif first or last:
        raise Unlowerable("padding of what is no value (n, features, h, w) of the network")
    for axis, (before, after) in enumerate(((above, below), (left, right))):
        x = grown(x, axis, before, after)
    return settle(program, x)


def grown(x: Any, axis: int, before: int, after: int) -> Any:
    """A value with rows or columns more, of zeros, or less."""
    if before == after == 0:
        return x
    framed = framed_of(x)
    first, last = framed.margins[axis]
    if (before > 0 and first < 0) or (after > 0 and last < 0):
        raise Unlowerable("zeros in place of what was cut off")
    if (framed.taps is not None or framed.then) and max(before, after) > 0:
        raise Unlowerable("zeros around a convolution that is not as large as the image")
    side = (first + before, last + after)
    margins = (side, framed.margins[1]) if axis == 0 else (framed.margins[0], side)
    return replace(framed, margins=margins)


def framed_of(x: Any) -> Framed:
    """A value with no more positions than it has, or what has more or fewer already."""
    if isinstance(x, Framed):
        return x
    if not isinstance(x, Value) or x.places != SECOND:
        raise Unlowerable("padding of what is no value (n, features, h, w) of the network")
    return Framed(x.number, NONE)


def settle(program: Program, x: Any) -> Any:
    """A value of the program, as soon as there are as many positions as on its grid."""
    if isinstance(x, Value) or any(map(sum, x.margins)):
        return x
    return reduce(lambda value, function: function(program, value), x.then, _settled(program, x))


def put_off(build: Callable[..., Value], given: Sequence[Any]) -> Framed:
    """A function of each feature of what is larger or smaller than the image, and of numbers."""
    at = next(i for i, x in enumerate(given) if isinstance(x, Framed))
    x, rest = given[at], [*given[:at], *given[at + 1 :]]
    if any(isinstance(other, Value | Framed) for other in rest):
        raise Unlowerable("a function of values one of which is larger or smaller than the image")
    if x.taps is None and not x.then and not x.is_crop:
        raise Unlowerable("a function of a value that is larger or smaller than the image")

    def function(program: Program, value: Value) -> Value:
        return build(program, *rest[:at], value, *rest[at:])

    return replace(x, then=(*x.then, function))


def _settled(program: Program, x: Framed) -> Value:
    down, right = -x.margins[0][0], -x.margins[1][0]
    if x.taps is None and down == right == 0:
        return Value(x.number)
    if x.taps is None:
        return Value(program.depthwise(x.number, [itself(program, x.number, down, right)], None))
    taps = [moved_tap(tap, x.stride * down, x.stride * right, x.up) for tap in x.taps]
    if taps[0].weight.ndim == 1:
        return Value(program.depthwise(x.number, taps, x.bias))
    return Value(program.taps(x.number, taps, x.bias, stride=x.stride, up=x.up))


def moved_tap(tap: Tap, down: int, right: int, up: int) -> Tap:
    """A tap that reads further down and right, and of a coarser grid the phase that has a whole position."""
    down, right = -tap.down - down, -tap.right - right
    return tap._replace(down=-(down // up), right=-(right // up), phase=(down % up, right % up))


def getitem(program: Program, x: Any, index: Any) -> Any:
    """One of several values, or runs of features, rows and columns."""
    places = SECOND if isinstance(x, Framed) else x.places if isinstance(x, Value) else ()
    if places not in (SECOND, LAST) or not isinstance(index, tuple) or None in index:
        return features_of(program, x, index)
    index, first = spelt_out(index, 4), places.index(ROWS)
    for axis, part in enumerate(index[first : first + 2]):
        if part != slice(None):
            x = grown(x, axis, *_cut(program, part, axis, x))
    rest = tuple(slice(None) if first <= i < first + 2 else each for i, each in enumerate(index))
    x = settle(program, x)
    if all(part == slice(None) for part in rest):
        return x
    return features_of(program, x, rest)


def _cut(program: Program, part: Any, axis: int, x: Any) -> tuple[int, int]:
    """How many rows or columns a slice leaves out at either end, below zero."""
    more = sum(x.margins[axis]) if isinstance(x, Framed) else 0
    start, stop = (part.start or 0, part.stop) if isinstance(part, slice) else (part, 0)
    grid = clock_of(program, x)
    if isinstance(stop, Size) and stop - stop.more in (Size(ROWS, grid), Size(COLUMNS, grid)):
        stop = min(stop.more - more, 0) or None
    ends = isinstance(start, int) and start >= 0 and isinstance(stop, int | None)
    if not ends or (stop is not None and stop >= 0) or part.step not in (None, 1):
        raise Unlowerable(f"[{part}] of rows or columns; some can be left out at their ends")
    return -int(start), stop or 0
