"""Images as units of dense layers: the features of all positions in one dimension, and back.

``x.view(n, -1)`` says channel by channel what :class:`~pixelcnn.program.units.Flatten` says position by
position, so which unit stands where is followed, and weights are put into that order.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.sizes import COLUMNS, FEATURES, IMAGES, ROWS, Size, Spread, Value
from pixelcnn.program import UNITS, Dense, Elementwise, Program, Slice, Unlowerable


def are_units(program: Program, x: Spread, shape: Sequence[Any]) -> bool:
    """Whether a shape ``(n, units)`` is wanted of what stands at all positions, which a size may be, too."""
    axes = [axis for place in x.places[1:] for axis in place]
    if len(shape) != 2 or sorted(axes) != [*ROWS, *COLUMNS] or type(shape[1]) is not int:
        return False
    if isinstance(shape[0], Size) and shape[0] == Size(IMAGES) and shape[1] == -1:
        return x.index.numel() > 1  # one feature of all positions may be read by others, too
    if shape[1] in (-1, x.index.numel()):  # positions joined with images
        return False
    return shape[1] == x.index.numel() * math.prod(largest_of(program))


def joined(program: Program, x: Spread) -> Spread:
    """The features of all positions as units, in the order in which they stand."""
    rows, columns = largest_of(program)
    width, features = program.width(x.number), range(2, 2 + x.index.ndim)
    positions = torch.arange(rows * columns).view(rows, columns, *[1] * x.index.ndim)
    left = iter(features)
    order = [
        axis
        for place in x.places[1:]
        for axis in ([next(left)] if place == FEATURES else [number - 1 for number in place])
    ]
    index = (positions * width + x.index).permute(order).flatten()
    return Spread(program.flatten(x.number, rows, columns), index, (IMAGES, FEATURES), UNITS)


def by_name(program: Program, shape: Sequence[Any]) -> list[Any]:
    """A shape with rows and columns by name, for the last two numbers that are those of the largest image."""
    named, numbers = list(shape), [each if type(each) is int else None for each in shape]
    if any(isinstance(each, Size) and each.place != IMAGES for each in shape):
        return named
    for first in reversed(range(len(shape) - 1)):
        if (*numbers[first : first + 2],) == program.largest:
            named[first : first + 2] = [Size(ROWS), Size(COLUMNS)]
            break
    return named


def apart(program: Program, x: Spread, shape: Sequence[Any]) -> Spread:
    """Units as features of positions."""
    largest = rows, columns = largest_of(program)
    places = [each.place if isinstance(each, Size) else FEATURES for each in shape[1:]]
    sizes = [
        math.prod(largest[axis - 1] for axis in place) if place else each
        for each, place in zip(shape[1:], places, strict=True)
    ]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.index.numel() // -math.prod(sizes)
    axes = [axis for place in places for axis in place]
    if x.index.ndim != 1 or axes != [*ROWS, *COLUMNS] or math.prod(sizes) != x.index.numel():
        raise Unlowerable(f"a shape {tuple(shape)} of the units of {rows}x{columns} positions")
    features = [size for size, place in zip(sizes, places, strict=True) if not place]
    before = len(list(itertools.takewhile(lambda place: place == FEATURES, places)))
    index = x.index.view(*features[:before], rows, columns, *features[before:])
    index = index.movedim((before, before + 1), (0, 1)).flatten()
    number = program.unflatten(units_at(program, x.number, index), rows, columns)
    place = torch.arange(program.width(number)).view(features)
    return Spread(number, place, (IMAGES, *places), 1)


def units_at(program: Program, number: int, index: Tensor) -> int:
    """Units in another order, or some of them, as which they are computed."""
    node = program.nodes[number]
    if torch.equal(index, torch.arange(node.width)):
        return number
    if isinstance(node, Dense):
        bias = None if node.bias is None else node.bias[index]
        return program.dense(node.sources[0], node.weight[index], node.live[index], bias)
    if isinstance(node, Slice):
        return units_at(program, node.sources[0], index + node.start)
    if isinstance(node, Elementwise) and node.parameter is None:
        sources = [units_at(program, source, index) for source in node.sources]
        return program.elementwise(node.op, *sources, constants=node.constants)
    raise Unlowerable("units in another order than a dense layer's")


def reads_units(program: Program, x: Value | Spread) -> bool:
    """Whether a dense layer that is given a value reads units: its own, or one feature of all positions."""
    if program.nodes[x.number].clock == UNITS:
        return True
    return x.places == (IMAGES, ROWS + COLUMNS)


def dense(program: Program, x: Spread, weight: Tensor, bias: Tensor | None) -> int:
    """A linear map of units; weights that are zero are those that a mask has closed."""
    if x.clock != UNITS:
        x = joined(program, x)
    if weight.ndim != 2 or weight.shape[1] != len(x.index):
        raise Unlowerable(f"a weight {tuple(weight.shape)} of {len(x.index)} units")
    own = weight.new_zeros(len(weight), program.width(x.number))
    own[:, x.index] = weight
    return program.dense(x.number, own, own != 0, bias)


def largest_of(program: Program) -> tuple[int, int]:
    """Height and width of the images that all features are joined of.

    Raises:
        Unlowerable: the network does not say them.
    """
    if program.largest is None:
        raise Unlowerable(
            "all positions in one dimension, of images of which the network does not say `largest`",
            hint="self.largest = (height, width) in its constructor",
        )
    return program.largest


def without_unread(program: Program) -> Program:
    """A program without nodes of which its output is not made, but for the input.

    Example:
        >>> program = Program()
        >>> x = program.input(1)
        >>> program.elementwise("relu", x), program.elementwise("tanh", x)
        (1, 2)
        >>> print(without_unread(program))
        %0 = input() -> 1
        %1 = tanh(%0) -> 1
    """
    wanted = [len(program.nodes) - 1]
    for number in wanted:  # which becomes longer while it is gone through
        wanted += set(program.nodes[number].sources) - set(wanted)
    kept = [program.nodes[number] for number in sorted({0, *wanted})]
    new = {old: number for number, old in enumerate(sorted({0, *wanted}))}
    nodes = [replace(node, sources=tuple(new[source] for source in node.sources)) for node in kept]
    return replace(program, nodes=nodes)
