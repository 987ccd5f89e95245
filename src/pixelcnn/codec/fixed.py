"""Values as whole numbers of a scale: which scales a program's nodes take, and how numbers change theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.program import Cat, Input, Past, Program, Slice, Unlowerable

LIMIT = 2**15 - 1
"""Steps of a value on either side of zero."""
MARGIN = 1.25
"""Largest value that is represented, over the largest one seen."""
EXACT = 2**53
"""Whole numbers below are floats of 64 bits."""
DIGITS, FACTOR = 52, 24
"""Bits of a product that is rounded afterwards, and of its factor at most."""
WIDEST = 2**20
"""Largest number that a table is made for."""
NOWHERE = -1
"""Number of a past as such: what is made are pasts as sums read them."""
BYTE = 255
"""A value with so few steps is read as it is."""


SINGLE = 2**24
"""Whole numbers below are floats of 32 bits."""


@dataclass(frozen=True)
class Precision:
    """Bits, sign included, of the weights, and of what they are multiplied with.

    Attributes:
        weights: of each.
        activations: at most; each sum reads as many as leave it exact in float32.
        fewest: with which a sum would rather be exact in float64 alone.
    """

    weights: int = 8
    activations: int = 12
    fewest: int = 9


class Fixed(NamedTuple):
    """A value of the twin.

    Attributes:
        number: of its node.
        scale: what 1 stands for.
        limit: no number is larger, nor smaller than its negative.
    """

    number: int
    scale: float
    limit: int


def whole(values: Tensor, scale: float) -> Tensor:
    """Values as whole numbers of a scale, cut off at :data:`LIMIT`."""
    return torch.round(values.detach().double().cpu() / scale).clamp(-LIMIT, LIMIT)


def factor(ratio: Tensor, limit: int) -> Tensor:
    """Ratios as whole numbers over powers of two, whose products with numbers up to a limit are exact.

    Example:
        >>> factor(torch.tensor([0.3], dtype=torch.float64), 2**40 - 1).item() * 2**13
        2458.0
    """
    bits = torch.tensor(min(FACTOR, DIGITS - limit.bit_length()))
    if bits < 8:
        raise Unlowerable(
            f"numbers up to 2^{limit.bit_length()} are too large to be rounded exactly"
        )
    mantissa, exponent = torch.frexp(ratio)
    return torch.ldexp(torch.round(torch.ldexp(mantissa, bits)), exponent - bits)


def scales(program: Program, levels: int, ranges: Sequence[float]) -> list[float]:
    """What 1 stands for in each node: the same in all that are added up or put side by side."""
    owner = list(range(len(program.nodes)))

    def root(number: int) -> int:
        while owner[number] != number:
            number = owner[number]
        return number

    for number, node in enumerate(program.nodes):
        if isinstance(node, Cat | Slice | Past) or node.op in ("add", "sub"):
            for source in node.sources:
                if not isinstance(program.nodes[source], Input):
                    owner[root(source)] = root(number)
    largest = [0.0] * len(owner)
    for number, found in enumerate(ranges):
        largest[root(number)] = max(largest[root(number)], found)
    scales = [(largest[root(number)] or 1.0) * MARGIN / LIMIT for number in range(len(owner))]
    return [
        1 / (levels - 1) if isinstance(node, Input) else scale
        for node, scale in zip(program.nodes, scales, strict=True)
    ]
