"""Attention as networks write it out: products of queries and keys, masked, made weights, and used.

Of such ``(n, heads, positions, positions)`` numbers none is computed here. Only what becomes of them is
followed; where it comes to what :class:`~pixelcnn.program.Attend` does, values are attended to.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.layout import flat, settled, spread_of
from pixelcnn.engines.sizes import COLUMNS, FEATURES, IMAGES, ROWS, Size, Spread, size
from pixelcnn.program import Program, Tap, Unlowerable

POSITIONS = ROWS + COLUMNS
LOWEST = -1e4
"""What is filled in where a mask hides something is at most this."""


@dataclass(frozen=True)
class Scores:
    """What each position has for each: products of queries and keys, or weights made of them.

    Attributes:
        query: its features in one dimension, or by head and feature.
        key: the same.
        scale: that products are multiplied with.
        masked: those of a position with itself and later ones are hidden.
        weights: they were made to sum to one.
        emptied: the first position, from which all is hidden, was given nothing.
    """

    query: Spread
    key: Spread
    scale: float = 1.0
    masked: bool = False
    weights: bool = False
    emptied: bool = False

    def __repr__(self) -> str:
        return "products of queries and keys"

    @property
    def number(self) -> int:
        """The node that holds the queries."""
        return self.query.number

    @property
    def shape(self) -> tuple[Any, ...]:
        """Of images, heads and positions."""
        positions = size(POSITIONS, self.query.clock)
        return (Size(IMAGES), *self.query.index.shape[:-1], positions, positions)


def matmul(program: Program, x: Any, y: Any) -> Any:
    """Products of queries and keys, or the sums of values that weights make."""
    if isinstance(x, Scores):
        return _attend(program, x, spread_of(program, y))
    query, key = spread_of(program, x), spread_of(program, y)
    heads = (FEATURES,) * (query.index.ndim - 1)
    by_position = (IMAGES, *heads, POSITIONS, FEATURES), (IMAGES, *heads, FEATURES, POSITIONS)
    if len(heads) > 1 or (query.places, key.places) != by_position or query.clock != key.clock:
        raise Unlowerable(f"a product of {query} and {key}, which are no queries and keys")
    return Scores(query, key)


def _attend(program: Program, scores: Scores, value: Spread) -> Any:
    if not (scores.masked and scores.weights and scores.emptied):
        raise Unlowerable(
            "attention to others than all earlier positions, and of the first to none"
        )
    if value.places != scores.query.places or value.index.ndim != scores.query.index.ndim:
        raise Unlowerable(f"attention to {value}, which are no values of {scores.query}")
    heads = math.prod(scores.query.index.shape[:-1])
    features = scores.query.index.shape[-1]
    # A feature more lets a start token be hidden from all that have a past; it is all that the first one has.
    scale = scores.scale * math.sqrt(features + 1)
    query = _with_one_more(program, scores.query, scale, 1.0)
    key = _with_one_more(program, scores.key, 1.0, 0.0)
    start = program.like.new_zeros(heads * (features + 1) + value.index.numel())
    hidden = -min(1e6, torch.finfo(start.dtype).max / 2)
    start[features : heads * (features + 1) : features + 1] = hidden
    number = program.attend(query, key, flat(program, value).number, heads, start)
    index = torch.arange(value.index.numel()).view(value.index.shape)
    return settled(program, replace(value, number=number, index=index))


def _with_one_more(program: Program, x: Spread, scale: float, more: float) -> int:
    """Features by head, times a number, and behind each head's another number."""
    index = x.index if x.index.ndim == 2 else x.index[None]
    weight = torch.nn.functional.one_hot(index, program.width(x.number)).to(program.like) * scale
    weight = torch.nn.functional.pad(weight, (0, 0, 0, 1)).flatten(0, 1)
    bias = program.like.new_zeros(index.shape[0], index.shape[1] + 1)
    bias[:, -1] = more
    return program.taps(x.number, [Tap(0, 0, weight, weight != 0)], bias.flatten())


def masked_fill(program: Program, x: Any, mask: Any, value: Any) -> Scores:
    """Hides positions from each other: from each those that do not lie before it."""
    if not isinstance(x, Scores) or not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise Unlowerable("masked_fill of anything but products of queries and keys")
    shown = ~mask[(0,) * (mask.ndim - 2)]
    earlier = torch.ones_like(shown).tril(-1)
    if mask.numel() != shown.numel() or not torch.equal(shown, earlier):
        raise Unlowerable("a mask other than that of all earlier positions")
    if x.weights and value == 0:
        return replace(x, emptied=True)
    if x.weights or not value <= LOWEST:
        raise Unlowerable(f"{value} for what a mask hides")
    return replace(x, masked=True)


def softmax(program: Program, x: Any, dim: Any, *options: Any) -> Scores:
    """Weights of all that is not hidden."""
    if not isinstance(x, Scores) or dim not in (-1, len(x.shape) - 1) or x.weights:
        raise Unlowerable("a softmax of anything but products of queries and keys, over keys")
    return replace(x, weights=True)


def multiply(program: Program, x: Any, y: Any) -> Scores:
    """Products times a number, or weights times what leaves the first position none."""
    scores, other = (x, y) if isinstance(x, Scores) else (y, x)
    if isinstance(other, int | float) and not scores.weights:
        return replace(scores, scale=scores.scale * other)
    column = isinstance(other, Tensor) and other.shape[-2:] == (other.numel(), 1)
    if not scores.weights or not column:
        raise Unlowerable("weights times anything but numbers of positions")
    if not torch.equal(other.flatten(), (torch.arange(other.numel()) > 0).to(other)):
        raise Unlowerable("weights times anything but zero at the first position and one elsewhere")
    return replace(scores, emptied=True)


def divide(program: Program, x: Any, y: Any, rounding_mode: str | None = None) -> Scores:
    """Products over a number."""
    if not isinstance(y, int | float) or rounding_mode is not None:
        raise Unlowerable("division of products by anything but a number")
    return multiply(program, x, 1 / y)
