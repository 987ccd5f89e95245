"""Values as whole numbers of a scale: which scales a program's nodes take, and how numbers change theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.program import Cat, Flatten, Input, Past, Program, Slice, Unflatten, Unlowerable

LIMIT = 2**15 - 1
"""Steps of a value on either side of zero."""
MARGIN = 1.25
"""Largest value that is represented, over the largest one seen."""
EXACT = 2**53
"""Whole numbers below are floats of 64 bits."""
DIGITS, FACTOR = 52, 24
"""Bits of a product that is rounded afterwards, and of its factor at most."""
FAINTEST = 2.0**-100
"""A value that stays below is nothing: its steps would be too small to be told from zero."""
APART = 2.0**100
"""How many times as large as another a scale may be: a float of 32 bits holds the factor."""
BYTE = 255
"""A value with so few steps is read as it is."""
SINGLE = 2**24
"""Whole numbers below are floats of 32 bits."""
LONG = 2**31
"""Whole numbers below are integers of 32 bits."""


@dataclass(frozen=True)
class Precision:
    """Bits, sign included, of the weights, and of what they are multiplied with.

    Attributes:
        weights: of each.
        activations: at most; each sum reads as many as leave it below ``exact``.
        fewest: with which a sum would rather be larger.
        exact: what sums are held in, where the weights let them.
    """

    weights: int = 8
    activations: int = 12
    fewest: int = 9
    exact: int = SINGLE

    def steps(self, few: int, total: float) -> int:
        """Steps that a sum reads of a value: as many as leave it exact.

        Args:
            few: that the value has; up to :data:`BYTE` it is read as it is.
            total: of the sum's weights; the bias counts as another activation's worth.
        """
        for bits in range(self.activations, self.fewest - 1, -1):
            most = int(2 ** (bits - 1) - 1)
            if total * (few if few <= max(most, BYTE) else most) < self.exact // 2:
                return most
        return int(2 ** (self.activations - 1) - 1)


PRECISIONS = {
    "single": Precision(),
    "long": Precision(12, 16, 12, LONG),
    "double": Precision(12, 16, 16),
}
"""By name: sums that float32 holds where the weights let it, integers of 32 bits, or float64; each finer."""


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

    Raises:
        Unlowerable: the numbers leave no bits for it, or it is out of all proportion.

    Example:
        >>> factor(torch.tensor([0.3], dtype=torch.float64), 2**40 - 1).item() * 2**13
        2458.0
    """
    if not bool((ratio.abs() < APART).all()):
        raise Unlowerable("values out of all proportion to each other")
    bits = min(FACTOR, DIGITS - limit.bit_length())
    if bits < 8:
        raise Unlowerable(
            f"numbers up to 2^{limit.bit_length()} are too large to be rounded exactly"
        )
    # PyTorch takes powers of two in its default type, and may flush small ones to zero.
    mantissa, exponent = np.frexp(ratio.numpy())
    factors = np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)
    return torch.as_tensor(factors, dtype=torch.float64)


def scales(program: Program, levels: int, ranges: Sequence[float]) -> list[float]:
    """What 1 stands for in each node: the same in all that are added up or put side by side."""
    owner = list(range(len(program.nodes)))

    def root(number: int) -> int:
        while owner[number] != number:
            number = owner[number]
        return number

    for number, node in enumerate(program.nodes):
        if isinstance(node, Cat | Slice | Past | Flatten | Unflatten) or node.op in ("add", "sub"):
            for source in node.sources:
                if not isinstance(program.nodes[source], Input):
                    owner[root(source)] = root(number)
    largest = [0.0] * len(owner)
    for number, size in enumerate(ranges):
        largest[root(number)] = max(largest[root(number)], size)
    found = [largest[root(number)] for number in range(len(owner))]
    return [
        1 / (levels - 1)
        if isinstance(node, Input)
        else (size if size > FAINTEST else 1.0) * MARGIN / LIMIT
        for node, size in zip(program.nodes, found, strict=True)
    ]
