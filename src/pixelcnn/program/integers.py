"""Primitives of integer programs: values are whole numbers, held in floats that represent them exactly."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pixelcnn.program.elementwise import Elementwise
from pixelcnn.program.features import ALL, Norm


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantise(Elementwise):
    """``factor x`` to the nearest whole number, of two the even one, between ``-limit`` and ``limit``.

    Each factor, ``parameter``, is a whole number over a power of two, of at most 24 bits, and of fewer where
    values have more than 28. Products have at most 52: they are exact in float64, and the rest is the same on
    every machine.
    """

    op, takes, takes_parameter = "requantise", ("limit",), True

    @staticmethod
    def of(x: Tensor, limit: float, factor: Tensor) -> Tensor:
        return (x * factor).round_().clamp_(-limit, limit)


class RoundedMul(Elementwise):
    """As :class:`Requantise`, of the product of two values and one factor for all features."""

    op, arity, takes = "rounded_mul", 2, ("factor", "limit")

    @staticmethod
    def of(x: Tensor, y: Tensor, factor: float, limit: float) -> Tensor:
        return (x * y).mul_(factor).round_().clamp_(-limit, limit)


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Elementwise):
    """An entry of a table for each value, the first one for ``-limit``.

    Attributes:
        table: whole numbers, ``(2 limit + 1,)``.
    """

    op, takes = "table", ("limit",)
    table: Tensor

    def function(self, *values: Tensor) -> Tensor:
        places = (values[0] + self.constants[0]).long()
        return self.table[places].to(values[0].dtype)


@dataclass(frozen=True, eq=False, kw_only=True)
class RoundedNorm(Norm):
    """As :class:`Norm`, to the nearest whole number between ``-limit`` and ``limit``.

    The sum of squares is exact; the quotient, the root and all else are single operations of float64.

    Attributes:
        limit: of the result.
    """

    limit: float

    op = "rounded_norm"

    def of(self, x: Tensor, run: slice = ALL) -> Tensor:
        y = torch.empty_like(x)
        for members in self._members:
            some = x[..., members]
            if self.centred:
                some = some * len(members) - some.sum(-1, keepdim=True)
            mean = some.square().sum(-1, keepdim=True) / len(members)
            least = self.epsilon * (len(members) ** 2 if self.centred else 1)
            y[..., members] = some * self.gain[members] / square_root(mean + least)
        if self.bias is not None:
            y = y + self.bias
        return y.round_().clamp_(-self.limit, self.limit)[..., run]


def square_root(x: Tensor) -> Tensor:
    """Of float64, rounded to the nearest, as IEEE 754 asks: PyTorch's may miss the last bit on a CPU.

    It calls MKL's vector functions, which round the root of 2 down on some Xeons and not on others.
    """
    return torch.from_numpy(np.sqrt(x.numpy())) if x.device.type == "cpu" else x.sqrt()


INTEGERS: dict[str, type[Elementwise]] = {kind.op: kind for kind in (Requantise, RoundedMul, Table)}
"""Every primitive that only integer programs have, by its name."""
