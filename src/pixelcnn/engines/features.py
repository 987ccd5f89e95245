"""Features taken apart, joined and normed, in whatever dimensions they stand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.constants import beside
from pixelcnn.engines.layout import (
    flat,
    pointwise,
    settled,
    spread_of,
    taken,
    unsqueeze,
)
from pixelcnn.engines.lowering import apply
from pixelcnn.engines.sizes import FEATURES, Spread, Value
from pixelcnn.program import Program, Unlowerable


def split(program: Program, x: Any, size: Any, dim: Any) -> tuple[Any, ...]:
    """Features in parts of given sizes."""
    found = spread_of(program, x)
    dim = _dimension("split", found, dim)
    width = found.shape[dim]
    sizes = list(size) if isinstance(size, tuple) else [size] * -(-width // size)
    parts, start = [], 0
    for part in sizes:
        index = (*[slice(None)] * dim, slice(start, min(start + part, width)))
        parts.append(settled(program, taken(found, index)))
        start += part
    return tuple(parts)


def chunk(program: Program, x: Any, chunks: int, dim: Any) -> tuple[Any, ...]:
    """Features in so many parts."""
    found = spread_of(program, x)
    width = found.shape[_dimension("chunk", found, dim)]
    return split(program, x, -(-width // chunks), dim)


def cat(program: Program, values: Any, dim: Any) -> Any:
    """Features of several values, and numbers that are the same everywhere."""
    like = next((value for value in values if isinstance(value, Value)), None)
    found = [spread_of(program, x if like is None else beside(program, like, x)) for x in values]
    dim = _dimension("cat", found[0], dim)
    if len({x.places for x in found}) != 1:
        raise Unlowerable("cat of values that are laid out differently")
    number = program.cat(*(flat(program, x).number for x in found))
    features = torch.arange(program.width(number)).split([x.index.numel() for x in found])
    parts = [each.view(x.index.shape) for each, x in zip(features, found, strict=True)]
    index = torch.cat(parts, found[0].places[:dim].count(FEATURES))
    return settled(program, replace(found[0], number=number, index=index))


def stack(program: Program, values: Any, dim: int) -> Any:
    """Values in a dimension more."""
    return cat(program, tuple(unsqueeze(program, x, dim) for x in values), dim)


def glu(program: Program, x: Any, dim: int) -> Value:
    """The first half of the features times the sigmoid of the second."""
    a, b = chunk(program, x, 2, dim)
    return apply(program, "mul", a, apply(program, "sigmoid", b))


def _dimension(name: str, x: Spread, dim: Any) -> int:
    """The number of one that holds features; others are never taken apart."""
    if not isinstance(dim, int) or not isinstance(x.shape[dim], int):
        raise Unlowerable(f"{name} along dimension {dim}; only features can be")
    return dim % len(x.shape)


def layer_norm(
    program: Program,
    x: Any,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float | None = None,
    *,
    centred: bool = True,
) -> Value:
    """A norm over the features of a position, where they stand last."""
    found = spread_of(program, x)
    sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    if found.places[-1] != FEATURES or tuple(sizes) != found.shape[-1:]:
        raise Unlowerable("it averages over more than the features of a position")
    gain = program.like.new_ones(sizes[0]) if weight is None else weight.detach()
    epsilon = torch.finfo(gain.dtype).eps if eps is None else eps
    groups = found.index.numel() // sizes[0]

    def build(program: Program, x: Value) -> Value:
        more = None if bias is None else bias.detach().repeat(groups)
        group = [number // sizes[0] for number in range(sizes[0] * groups)]
        number = program.norm(
            x.number, gain.repeat(groups), group, epsilon, centred=centred, bias=more
        )
        return Value(number, x.places)

    return settled(program, pointwise(program, build, [found]))


def rms_norm(
    program: Program,
    x: Any,
    normalized_shape: Any,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Value:
    """One that takes no mean off."""
    return layer_norm(program, x, normalized_shape, weight, eps=eps, centred=False)
