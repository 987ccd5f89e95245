"""Features spread over the dimensions of a tensor: reshaped, moved, and taken, until they stand in one again.

``y.view(n, levels, channels, h, w)``, say, computes nothing. Only which feature stands where is followed, and
as soon as there is a tensor ``(n, features, h, w)`` or ``(n, h, w, features)`` again, it is a value.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.sizes import FEATURES, IMAGES, Size, Spread, Value, size, spread
from pixelcnn.engines.units import apart, are_units, by_name, joined, units_at
from pixelcnn.program import UNITS, Program, Tap, Unlowerable

VECTOR = (IMAGES, FEATURES, FEATURES, FEATURES)
"""Of what is made of a vector, to meet features (n, f, h, w)."""


def moved(x: Spread, dims: Sequence[int]) -> Spread:
    """The dimensions in another order."""
    order = [dim % len(x.places) for dim in dims]
    if sorted(order) != list(range(len(x.places))):
        raise Unlowerable(f"permute{tuple(dims)} of {len(x.places)} dimensions")
    holding = [dim for dim, place in enumerate(x.places) if place == FEATURES]
    index = x.index.permute([holding.index(dim) for dim in order if dim in holding])
    return replace(x, index=index, places=tuple(x.places[dim] for dim in order))


def reshaped(x: Spread, shape: Sequence[Any]) -> Spread:
    """Features in other dimensions; images, rows and columns keep theirs."""
    wanted = list(shape)
    there = [axis for each in wanted if isinstance(each, Size) for axis in each.place]
    absent = tuple(axis for place in x.places for axis in place if axis not in there)
    if absent and -1 in wanted:
        wanted[wanted.index(-1)] = size(absent, x.clock)
    runs, new = (_runs(sizes) for sizes in (x.shape, wanted))
    for run, old in zip(new, runs, strict=False):
        if run.count(-1) == 1 and (rest := math.prod(run) * -1) > 0 and math.prod(old) % rest == 0:
            run[run.index(-1)] = math.prod(old) // rest
    axes = [
        [a for s in sizes if isinstance(s, Size) for a in s.place] for sizes in (x.shape, wanted)
    ]
    others = [s for s in wanted if isinstance(s, Size) and s != size(s.place, x.clock)]
    if others or axes[0] != axes[1] or list(map(math.prod, runs)) != list(map(math.prod, new)):
        raise Unlowerable(
            f"a shape {tuple(shape)} of {x.shape}; only features can be taken apart and joined, of a value"
            " whose other sizes are those of its shape"
        )
    places = tuple(s.place if isinstance(s, Size) else FEATURES for s in wanted)
    return replace(x, index=x.index.reshape([part for run in new for part in run]), places=places)


def _runs(sizes: Sequence[Any]) -> list[list[int]]:
    """Numbers of features between images, rows and columns."""
    runs: list[list[int]] = [[]]
    for each in sizes:
        if isinstance(each, Size):
            runs += [[] for _ in each.place]
        else:
            runs[-1].append(each)
    return runs


def taken(x: Spread, index: tuple[Any, ...]) -> Spread:
    """Some of the features: runs, every second one, or one, which has no dimension."""
    index = (*index, *[slice(None)] * (len(x.places) - len(index)))
    whole = all(
        part == slice(None) for part, p in zip(index, x.places, strict=False) if p != FEATURES
    )
    mine = tuple(part for part, p in zip(index, x.places, strict=False) if p == FEATURES)
    found = x.index[mine] if whole and all(_plain(part) for part in mine) else x.index[:0]
    if not found.numel() or len(index) > len(x.places):
        raise Unlowerable(f"[{index}]; only features can be taken")
    kept = (p for part, p in zip(index, x.places, strict=True) if isinstance(part, slice))
    return replace(x, index=found, places=tuple(kept))


def _plain(part: Any) -> bool:
    """Whether it takes features by numbers."""
    sides = (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)
    return all(side is None or type(side) is int for side in sides) and part is not None


def gathered(program: Program, x: Spread) -> int:
    """The node of features in one dimension, in the order in which they stand there."""
    width, index = program.width(x.number), x.index
    first = int(index[0])
    if torch.equal(index, torch.arange(first, first + len(index))):
        return (
            x.number if len(index) == width else program.slice(x.number, first, first + len(index))
        )
    if x.clock == UNITS:
        return units_at(program, x.number, index)
    weight = torch.nn.functional.one_hot(index, width).to(program.like)
    return program.taps(x.number, [Tap(0, 0, weight, weight != 0)], None)


def getitem(program: Program, x: Any, index: Any) -> Any:
    """One of several values, or some of the features: ``x[:, a:b]``; ``None`` is a dimension of one more."""
    if isinstance(x, tuple) and not isinstance(x, Value) and isinstance(index, int | slice):
        return x[index]
    found, index = spread_of(program, x), index if isinstance(index, tuple) else (index,)
    index = spelt_out(index, len(found.places) + index.count(None))
    found = taken(found, tuple(part for part in index if part is not None))
    kept = [part for part in index if not isinstance(part, int)]
    shape = list(found.shape)
    for dim in (dim for dim, part in enumerate(kept) if part is None):
        shape.insert(dim, 1)
    return settled(program, reshaped(found, shape))


def spelt_out(index: tuple[Any, ...], dimensions: int) -> tuple[Any, ...]:
    """An index of so many dimensions, with whole ones in place of an ellipsis."""
    for at, part in enumerate(index):
        if part is Ellipsis:
            return (*index[:at], *[slice(None)] * (dimensions + 1 - len(index)), *index[at + 1 :])
    return index


def permute(program: Program, x: Any, dims: Any) -> Any:
    """The dimensions of a tensor in another order."""
    return settled(program, moved(spread_of(program, x), dims))


def transpose(program: Program, x: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    dims = list(range(len(spread_of(program, x).places)))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(program, x, dims)


def movedim(program: Program, x: Any, source: int, destination: int) -> Any:
    """One dimension moved."""
    dims = list(range(len(spread_of(program, x).places)))
    dims.insert(destination % len(dims), dims.pop(source))
    return permute(program, x, dims)


def reshape(program: Program, x: Any, shape: Any) -> Any:
    """Features in other dimensions; or those of all positions in one, as units, and of units in positions."""
    found, wanted = spread_of(program, x), shape
    if found.clock == UNITS and len(shape) > 2:
        return settled(program, apart(program, found, by_name(program, shape)))
    try:
        return settled(program, reshaped(found, shape))
    except Unlowerable:
        if are_units(program, found, shape):
            return settled(program, joined(program, found))
        if found.clock == 1:
            wanted = by_name(program, shape)
        return settled(program, reshaped(found, wanted))


def flatten(program: Program, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Features of several dimensions in one."""
    shape = list(spread_of(program, x).shape)
    start, stop = start_dim % len(shape), end_dim % len(shape) + 1
    return reshape(program, x, [*shape[:start], -1, *shape[stop:]])


def unflatten(program: Program, x: Any, dim: int, sizes: Any) -> Any:
    """Features of one dimension in several."""
    shape = list(spread_of(program, x).shape)
    dim %= len(shape)
    return reshape(program, x, [*shape[:dim], *sizes, *shape[dim + 1 :]])


def spread_of(program: Program, x: Any) -> Spread:
    """Of whatever has features."""
    if not isinstance(x, Value | Spread):
        raise Unlowerable("its dimensions are not those of a value of the network")
    return x if isinstance(x, Spread) else spread(program, x)


def settled(program: Program, x: Spread) -> Any:
    """A value, as soon as its features stand in one dimension, units in that of their node."""
    in_order = x.clock != UNITS or torch.equal(x.index, torch.arange(program.width(x.number)))
    return Value(gathered(program, x), x.places) if x.index.ndim == 1 and in_order else x


def expand(program: Program, x: Any, sizes: Any) -> Any:
    """What is the same at all positions, at each of them; others as they are."""
    found = spread_of(program, x)
    if found.places == VECTOR and len(sizes) == 4:
        x = everywhere(program, found)
        found = spread_of(program, x)
    same = (want in (-1, have) for want, have in zip(sizes, found.shape, strict=False))
    if len(sizes) != len(found.shape) or not all(same):
        raise Unlowerable(f"expand{tuple(sizes)} of {found}")
    return x


def everywhere(program: Program, x: Spread) -> Value:
    """A vector ``(n, features, 1, 1)`` of each image, as a value of all positions."""
    if x.places != VECTOR or x.index.shape[1:] != (1, 1):
        raise Unlowerable(f"{x} beside features (n, f, h, w)")
    return flat(program, x)


def pointwise(program: Program, build: Callable[..., Value], given: Sequence[Any]) -> Any:
    """A function of each feature, and of numbers, wherever the features stand."""
    like = next(x for x in given if isinstance(x, Spread))
    for x in given:
        if isinstance(x, Value | Tensor) or (isinstance(x, Spread) and x.shape != like.shape):
            raise Unlowerable(f"a function of {like} and what is laid out differently")
    if like.clock == UNITS and all(
        torch.equal(x.index, like.index) for x in given if isinstance(x, Spread)
    ):
        given = [Value(x.number, x.places) if isinstance(x, Spread) else x for x in given]
        return replace(like, number=build(program, *given).number)
    made = build(program, *(flat(program, x) if isinstance(x, Spread) else x for x in given))
    index = torch.arange(like.index.numel()).view(like.index.shape)
    return replace(like, number=made.number, index=index)


def flat(program: Program, x: Spread) -> Value:
    """Features of several dimensions in one, in the order in which they stand."""
    return Value(gathered(program, replace(x, index=x.index.flatten())))


def unsqueeze(program: Program, x: Any, dim: int) -> Any:
    """A dimension more, of one feature."""
    shape = list(spread_of(program, x).shape)
    dim %= len(shape) + 1
    return reshape(program, x, [*shape[:dim], 1, *shape[dim:]])


def squeeze(program: Program, x: Any, dim: int) -> Any:
    """A dimension of one feature less."""
    shape = list(spread_of(program, x).shape)
    if shape.pop(dim) != 1:
        raise Unlowerable(f"squeeze of dimension {dim}, which holds more than one feature")
    return reshape(program, x, shape)
