"""Functions of one feature of one value, or of two values; each class is one primitive.

A new one is a class here, a line in :mod:`pixelcnn.engines.allowlist` for each of its names in PyTorch, and
its formula in the native engine.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.program.node import Node, Reader, latest


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Node):
    """A function of the features at a position, each for itself.

    Attributes:
        constants: numbers that the function takes, in the order of :attr:`takes`.
        parameter: one number a feature, ``(width,)``, where the function takes such.
    """

    arity: ClassVar[int] = 1
    takes: ClassVar[tuple[str, ...]] = ()
    """Names of the constants."""
    takes_parameter: ClassVar[bool] = False

    constants: tuple[float, ...] = ()
    parameter: Tensor | None = None

    def stage(self, read: Sequence[Tensor], steps: int) -> Tensor:
        return latest(read)

    def compute(self, read: Reader) -> Tensor:
        return self.function(*(read.own(source) for source in self.sources))

    def seen(self, read: Reader) -> Tensor:
        found = read.own(self.sources[0])
        for source in self.sources[1:]:
            found = found | read.own(source)
        return found

    @abc.abstractmethod
    def function(self, *values: Tensor) -> Tensor:
        """The function of values ``(..., features)``, all of the node's features in the last dimension."""

    @property
    def notes(self) -> str:
        return " ".join(f"{name}={x:g}" for name, x in zip(self.takes, self.constants, strict=True))


class Relu(Elementwise):
    """``max(x, 0)``."""

    op = "relu"

    def function(self, *values: Tensor) -> Tensor:
        return torch.relu(values[0])


class Elu(Elementwise):
    """``x`` above zero, else ``alpha (exp(x) - 1)``."""

    op, takes = "elu", ("alpha",)

    def function(self, *values: Tensor) -> Tensor:
        return functional.elu(values[0], self.constants[0])


class Silu(Elementwise):
    """``x sigmoid(x)``."""

    op = "silu"

    def function(self, *values: Tensor) -> Tensor:
        return functional.silu(values[0])


class Gelu(Elementwise):
    """``x`` times the normal distribution function of it."""

    op = "gelu"

    def function(self, *values: Tensor) -> Tensor:
        return functional.gelu(values[0])


class GeluTanh(Elementwise):
    """``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, which is close to :class:`Gelu`."""

    op = "gelu_tanh"

    def function(self, *values: Tensor) -> Tensor:
        return functional.gelu(values[0], approximate="tanh")


class Hardswish(Elementwise):
    """``x min(max(x + 3, 0), 6) / 6``."""

    op = "hardswish"

    def function(self, *values: Tensor) -> Tensor:
        return functional.hardswish(values[0])


class Softplus(Elementwise):
    """``log(1 + exp(beta x)) / beta``, and ``x`` where ``beta x`` is above a threshold."""

    op, takes = "softplus", ("beta", "threshold")

    def function(self, *values: Tensor) -> Tensor:
        return functional.softplus(values[0], *self.constants)


class LeakyRelu(Elementwise):
    """``x`` above zero, else ``slope x``."""

    op, takes = "leaky_relu", ("slope",)

    def function(self, *values: Tensor) -> Tensor:
        return functional.leaky_relu(values[0], self.constants[0])


class Prelu(Elementwise):
    """As :class:`LeakyRelu`, with a slope a feature."""

    op, takes_parameter = "prelu", True

    def function(self, *values: Tensor) -> Tensor:
        assert self.parameter is not None
        return torch.where(values[0] > 0, values[0], self.parameter * values[0])


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    op = "tanh"

    def function(self, *values: Tensor) -> Tensor:
        return torch.tanh(values[0])


class Sigmoid(Elementwise):
    """``1 / (1 + exp(-x))``."""

    op = "sigmoid"

    def function(self, *values: Tensor) -> Tensor:
        return torch.sigmoid(values[0])


class Exp(Elementwise):
    """The exponential function."""

    op = "exp"

    def function(self, *values: Tensor) -> Tensor:
        return torch.exp(values[0])


class Abs(Elementwise):
    """The size of a number."""

    op = "abs"

    def function(self, *values: Tensor) -> Tensor:
        return torch.abs(values[0])


class Square(Elementwise):
    """``x^2``."""

    op = "square"

    def function(self, *values: Tensor) -> Tensor:
        return values[0].square()


class Clamp(Elementwise):
    """``x``, but no less than ``low`` and no more than ``high``; either may be infinite."""

    op, takes = "clamp", ("low", "high")

    def function(self, *values: Tensor) -> Tensor:
        return values[0].clamp(*self.constants)


class Scale(Elementwise):
    """``factor x``."""

    op, takes = "scale", ("factor",)

    def function(self, *values: Tensor) -> Tensor:
        return values[0] * self.constants[0]

    def seen(self, read: Reader) -> Tensor:
        found = super().seen(read)
        return found if self.constants[0] else torch.zeros_like(found)


class Shift(Elementwise):
    """``x + term``."""

    op, takes = "shift", ("term",)

    def function(self, *values: Tensor) -> Tensor:
        return values[0] + self.constants[0]


class Add(Elementwise):
    """The sum of two values."""

    op, arity = "add", 2

    def function(self, *values: Tensor) -> Tensor:
        return values[0] + values[1]


class Sub(Elementwise):
    """The difference of two values."""

    op, arity = "sub", 2

    def function(self, *values: Tensor) -> Tensor:
        return values[0] - values[1]


class Mul(Elementwise):
    """The product of two values."""

    op, arity = "mul", 2

    def function(self, *values: Tensor) -> Tensor:
        return values[0] * values[1]


ELEMENTWISE: dict[str, type[Elementwise]] = {kind.op: kind for kind in Elementwise.__subclasses__()}
"""Every elementwise primitive by its name."""
