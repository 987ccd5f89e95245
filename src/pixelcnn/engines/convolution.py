"""PyTorch's own convolutions in primitives: with padding, and with what is padded and cut off around them.

A convolution that is masked by multiplying its kernel, or shifted by rows of zeros at one side and rows that
are cut off at the other, is a sum over offsets like those of our layers. What is zero in the kernel is not
read. Between padding and cutting a tensor is larger or smaller than the image, and nothing else can read it.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.engines.constants import constant
from pixelcnn.engines.layout import Spread, spelt_out, spread
from pixelcnn.engines.layout import getitem as features_of
from pixelcnn.engines.lowering import cat, itself
from pixelcnn.engines.sizes import COLUMNS, IMAGES, LAST, ROWS, SECOND, Size, Value, size
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
    """

    number: int
    margins: Margins
    taps: tuple[Tap, ...] | None = None
    bias: Tensor | None = None
    stride: int = 1
    up: int = 1


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
    plain = len(sides) <= 6 and all(isinstance(side, int) for side in sides)
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
        x = _grow(x, axis, before, after)
    return settle(program, x)


def _grow(x: Any, axis: int, before: int, after: int) -> Any:
    """A value with rows or columns more, of zeros, or less."""
    if before == after == 0:
        return x
    framed = _framed(x)
    first, last = framed.margins[axis]
    if (before > 0 and first < 0) or (after > 0 and last < 0):
        raise Unlowerable("zeros in place of what was cut off")
    if framed.taps is not None and max(before, after) > 0:
        raise Unlowerable("zeros around a convolution that is not as large as the image")
    grown = (first + before, last + after)
    margins = (grown, framed.margins[1]) if axis == 0 else (framed.margins[0], grown)
    return replace(framed, margins=margins)


def _framed(x: Any) -> Framed:
    if isinstance(x, Framed):
        return x
    if not isinstance(x, Value) or x.places != SECOND:
        raise Unlowerable("padding of what is no value (n, features, h, w) of the network")
    return Framed(x.number, NONE)


def settle(program: Program, x: Any) -> Any:
    """A value of the program, as soon as there are as many positions as on its grid."""
    if isinstance(x, Value) or any(map(sum, x.margins)):
        return x
    down, right = -x.margins[0][0], -x.margins[1][0]
    if x.taps is None and down == right == 0:
        return Value(x.number)
    if x.taps is None:
        return Value(program.depthwise(x.number, [itself(program, x.number, down, right)], None))
    taps = [_moved(tap, x.stride * down, x.stride * right, x.up) for tap in x.taps]
    if taps[0].weight.ndim == 1:
        return Value(program.depthwise(x.number, taps, x.bias))
    return Value(program.taps(x.number, taps, x.bias, stride=x.stride, up=x.up))


def _moved(tap: Tap, down: int, right: int, up: int) -> Tap:
    """A tap that reads further down and right, and of a coarser grid the phase that has a whole position."""
    down, right = -tap.down - down, -tap.right - right
    return tap._replace(down=-(down // up), right=-(right // up), phase=(down % up, right % up))


def convolve(
    program: Program,
    x: Any,
    weight: Any,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """A convolution; of its kernel what is not zero acts."""
    step = _step(stride)
    if not isinstance(weight, Tensor) or weight.ndim != 4:
        raise Unlowerable("a kernel that is no tensor (out, in, rows, columns)")
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    apart, reach = _pair(dilation), [_pair(dilation)[i] * (weight.shape[2 + i] - 1) for i in (0, 1)]
    if padding == "same":
        sides = [(whole // 2, whole - whole // 2) for whole in reach]
    else:
        sides = [(each, each) for each in _pair(0 if padding == "valid" else padding)]
    for axis, (before, after) in enumerate(sides):
        x = _grow(x, axis, before, after)
    framed = _framed(x)
    if framed.taps is not None:
        raise Unlowerable("a convolution of one that is not as large as the image")
    (above, below), (left, right) = framed.margins
    depthwise = groups == program.width(framed.number) == len(weight) and step == 1
    kernel = weight[:, 0] if depthwise else _whole(weight, groups)
    taps = _taps(kernel, apart, (above, left))
    taps = tuple(tap for tap in taps if bool(tap.live.any())) or taps[:1]
    more = (above + below - reach[0], left + right - reach[1])
    rows, columns = ((0, (each + step - 1) // step) for each in more)  # where it divides the grid
    framed = Framed(framed.number, (rows, columns), taps, bias, stride=step)
    return settle(program, framed)


def convolve_transposed(
    program: Program,
    x: Any,
    weight: Any,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """A convolution that writes where another one reads, onto a grid as much finer as it strides."""
    framed, up = _framed(x), _step(stride)
    if framed.taps is not None or framed.margins != NONE or not isinstance(weight, Tensor):
        raise Unlowerable("it reads what is no value as large as the image")
    cut, apart, more = (_pair(each) for each in (padding, dilation, output_padding))
    kernel = weight.detach().unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    taps = _taps(_whole(kernel, groups), apart, cut, -1)
    if len({_moved(tap, 0, 0, up).phase for tap in taps}) < up**2:
        raise Unlowerable("it leaves positions unwritten")
    after = [apart[i] * (weight.shape[2 + i] - 1) + 1 + more[i] - up - 2 * cut[i] for i in (0, 1)]
    margins = ((0, after[0]), (0, after[1]))
    bias = None if bias is None else bias.detach()
    return settle(program, Framed(framed.number, margins, taps, bias, up=up))


def _taps(
    kernel: Tensor, apart: tuple[int, int], first: tuple[int, int], sign: int = 1
) -> tuple[Tap, ...]:
    """What a kernel ``(..., rows, columns)`` reads: ``sign (apart row - first)`` rows down, and so on."""
    return tuple(
        Tap(
            sign * (row * apart[0] - first[0]),
            sign * (column * apart[1] - first[1]),
            part,
            part != 0,
        )
        for row in range(kernel.shape[-2])
        for column in range(kernel.shape[-1])
        for part in (kernel[..., row, column],)
    )


def _step(stride: Any) -> int:
    """Of rows and columns alike."""
    rows, columns = _pair(stride)
    if rows != columns:
        raise Unlowerable(f"it strides over {rows} rows and {columns} columns")
    return rows


def _pair(value: Any) -> tuple[int, int]:
    """Of rows and of columns."""
    first, second = (value, value) if isinstance(value, int) else (*value, *value)[:2]
    return int(first), int(second)


def _whole(weight: Tensor, groups: int) -> Tensor:
    """The kernel of a convolution in groups as one of all features, with zeros between groups."""
    if groups == 1:
        return weight
    blocks = [torch.block_diag(*at.chunk(groups)) for at in weight.flatten(2).unbind(2)]
    return torch.stack(blocks, -1).unflatten(-1, weight.shape[2:])


def convolution(program: Program, x: Value, module: nn.Conv2d) -> Any:
    """A layer of PyTorch's."""
    if module.padding_mode != "zeros" and any(module._reversed_padding_repeated_twice):
        raise Unlowerable(f"it pads by {module.padding_mode}")
    given = module.stride, module.padding, module.dilation, module.groups
    return convolve(program, x, module.weight, module.bias, *given)


def transposed(program: Program, x: Value, module: nn.ConvTranspose2d) -> Any:
    """A layer of PyTorch's that is one transposed."""
    given = module.stride, module.padding, module.output_padding, module.groups, module.dilation
    return convolve_transposed(program, x, module.weight, module.bias, *given)


def padding(program: Program, x: Value, module: nn.ConstantPad2d) -> Any:
    """Zeros around an image."""
    return pad(program, x, module.padding, value=module.value)


def batch_norm(program: Program, x: Value, module: nn.BatchNorm2d) -> Value:
    """What a norm over batches is in evaluation mode: a factor and a bias for each feature."""
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise Unlowerable("it averages over the images of a batch")
    if x.places != SECOND or program.width(x.number) != module.num_features:
        raise Unlowerable("it has other features than what it is given")
    factor = (variance + module.eps).rsqrt()
    factor = factor if module.weight is None else factor * module.weight.detach()
    bias = -mean * factor
    bias = bias if module.bias is None else bias + module.bias.detach()
    tap = Tap(0, 0, factor, torch.ones_like(factor, dtype=torch.bool))
    return Value(program.depthwise(x.number, [tap], bias))


def getitem(program: Program, x: Any, index: Any) -> Any:
    """One of several values, or runs of features, rows and columns."""
    places = SECOND if isinstance(x, Framed) else x.places if isinstance(x, Value) else ()
    if places not in (SECOND, LAST) or not isinstance(index, tuple) or None in index:
        return features_of(program, x, index)
    index, first = spelt_out(index, 4), places.index(ROWS)
    for axis, part in enumerate(index[first : first + 2]):
        if part != slice(None):
            x = _grow(x, axis, *_cut(program, part, axis, x))
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
