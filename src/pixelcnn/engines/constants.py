"""Tensors that are the same of all images: a number a feature, or what rows and columns stand for."""

from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.sizes import COLUMNS, FEATURES, IMAGES, LAST, ROWS, SECOND, Size, Value
from pixelcnn.program import Program, Tap, Unlowerable


def constant(program: Program, like: Value, vector: Tensor) -> Value:
    """A number a feature, the same at all positions of a value's grid, laid out as that is."""
    weight = program.like.new_zeros(len(vector), program.width(like.number))
    return Value(program.taps(like.number, [Tap(0, 0, weight, weight != 0)], vector), like.places)


def new(program: Program, x: Value, sizes: Any, value: float) -> Value:
    """As many features as are wanted, all of them the same number, for images of the same size."""
    images, width, *places = sizes if isinstance(sizes, tuple) else (sizes,)
    clock = program.nodes[x.number].clock
    own = (Size(IMAGES), Size(ROWS, clock), Size(COLUMNS, clock))
    if (images, *places) != own or type(width) is not int:
        raise Unlowerable(f"a new tensor {sizes}, which is not (n, features, h, w) of its value")
    return constant(program, Value(x.number), program.like.new_full((width,), value))


def alike(program: Program, x: Value, value: float) -> Value:
    """The same number in place of all features."""
    return constant(program, x, program.like.new_full((program.width(x.number),), value))


def beside(program: Program, like: Value, given: Any) -> Any:
    """A tensor of numbers that are the same of all images, as a value beside another one."""
    if not isinstance(given, Tensor) or given.ndim != len(like.places):
        return given
    if given.numel() == given.shape[like.dimension]:
        return constant(program, like, given.detach().flatten().to(program.like))
    return place(program, like, given)


def by_feature(program: Program, x: Value, given: Tensor) -> Tensor | Value:
    """A tensor that is the same of all images: a number a feature, or a value if positions have others.

    Raises:
        Unlowerable: it is another one.
    """
    width = program.width(x.number)
    shape = [width if place == FEATURES else 1 for place in x.places]
    try:
        return torch.broadcast_to(given.detach(), shape).flatten().to(program.like)
    except RuntimeError:
        found = place(program, x, given)
    if program.width(found.number) not in (1, width):
        raise Unlowerable(f"a tensor {tuple(given.shape)} beside {width} features")
    copies = [found.number] * (width // program.width(found.number))
    return Value(program.cat(*copies), x.places) if len(copies) > 1 else found


def place(program: Program, like: Value, given: Tensor) -> Value:
    """What rows and columns stand for, as a value laid out like another one: a sum of a row's and a column's.

    Raises:
        Unlowerable: it is another one.
    """
    what = f"a tensor {tuple(given.shape)}, not one number a feature"
    table = given.detach()[(None,) * (len(like.places) - given.ndim)].to(program.like)
    if like.places not in (SECOND, LAST) or table.ndim != 4 or len(table) != 1 or not table.numel():
        raise Unlowerable(what)
    table = table[0] if like.last else table[0].movedim(0, -1)
    rows, columns = table[:, 0], table[0] - table[0, 0]
    tolerance = 4 * torch.finfo(table.dtype).eps * float(table.abs().amax())
    if not torch.allclose(rows[:, None] + columns, table, rtol=0.0, atol=tolerance):
        raise Unlowerable(f"{what}, nor a sum of one of its row and one of its column")
    longest = max(len(rows), len(columns))  # that an image may be, of what is the same in all rows
    rows, columns = (x.expand(longest if len(x) == 1 else -1, -1) for x in (rows, columns))
    return Value(program.position(rows, columns, like.number), like.places)
