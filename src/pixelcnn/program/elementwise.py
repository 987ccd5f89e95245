"""Functions of one feature of one value, or of two values; each class is one primitive.

A new one is a class here, a line in :mod:`pixelcnn.engines.allowlist` for each of its names in PyTorch, and
its formula in the native engine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

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

    of: ClassVar[Callable[..., Any]]
    """The function: of the values ``(..., features)``, then of the constants, then of the parameter."""
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

    def function(self, *values: Tensor) -> Tensor:
        """Of values ``(..., features)``, all of the node's features in the last dimension."""
        own = () if self.parameter is None else (self.parameter,)
        return type(self).of(*values, *self.constants, *own)

    @property
    def notes(self) -> str:
        return " ".join(f"{name}={x:g}" for name, x in zip(self.takes, self.constants, strict=True))


class Relu(Elementwise):
    """``max(x, 0)``."""

    op, of = "relu", partial(torch.clamp, min=0)


class Elu(Elementwise):
    """``x`` above zero, else ``alpha (exp(x) - 1)``."""

    op, of, takes = "elu", functional.elu, ("alpha",)


class Silu(Elementwise):
    """``x sigmoid(x)``."""

    op, of = "silu", functional.silu


class Gelu(Elementwise):
    """``x`` times the normal distribution function of it."""

    op, of = "gelu", functional.gelu


class GeluTanh(Elementwise):
    """``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, which is close to :class:`Gelu`."""

    op, of = "gelu_tanh", partial(functional.gelu, approximate="tanh")


class Hardswish(Elementwise):
    """``x min(max(x + 3, 0), 6) / 6``."""

    op, of = "hardswish", functional.hardswish


class Softplus(Elementwise):
    """``log(1 + exp(beta x)) / beta``, and ``x`` where ``beta x`` is above a threshold."""

    op, of, takes = "softplus", functional.softplus, ("beta", "threshold")


class LeakyRelu(Elementwise):
    """``x`` above zero, else ``slope x``."""

    op, of, takes = "leaky_relu", functional.leaky_relu, ("slope",)


class Prelu(Elementwise):
    """As :class:`LeakyRelu`, with a slope a feature."""

    op, takes_parameter = "prelu", True

    @staticmethod
    def of(x: Tensor, slope: Tensor) -> Tensor:
        return torch.where(x > 0, x, slope * x)


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    op, of = "tanh", torch.tanh


class Sigmoid(Elementwise):
    """``1 / (1 + exp(-x))``."""

    op, of = "sigmoid", torch.sigmoid


class Exp(Elementwise):
    """The exponential function."""

    op, of = "exp", torch.exp


class Abs(Elementwise):
    """The size of a number."""

    op, of = "abs", torch.abs


class Square(Elementwise):
    """``x^2``."""

    op, of = "square", torch.square


class Clamp(Elementwise):
    """``x``, but no less than ``low`` and no more than ``high``; either may be infinite."""

    op, of, takes = "clamp", torch.clamp, ("low", "high")


class Scale(Elementwise):
    """``factor x``."""

    op, of, takes = "scale", torch.mul, ("factor",)

    def seen(self, read: Reader) -> Tensor:
        found = super().seen(read)
        return found if self.constants[0] else torch.zeros_like(found)


class Shift(Elementwise):
    """``x + term``."""

    op, of, takes = "shift", torch.add, ("term",)


class Add(Elementwise):
    """The sum of two values."""

    op, of, arity = "add", torch.add, 2


class Sub(Elementwise):
    """The difference of two values."""

    op, of, arity = "sub", torch.sub, 2


class Mul(Elementwise):
    """The product of two values."""

    op, of, arity = "mul", torch.mul, 2


ELEMENTWISE: dict[str, type[Elementwise]] = {kind.op: kind for kind in Elementwise.__subclasses__()}
"""Every elementwise primitive by its name."""
