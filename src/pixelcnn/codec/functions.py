"""Smooth functions that are the same on every machine: of float64 additions, products and quotients alone.

Those are rounded alike wherever they are computed, one at a time; the functions of a system's library are
not. How close they come to the functions they are named after is a matter of the bits that a code takes,
never of whether it can be read.
"""

import math
from collections.abc import Callable

import numpy as np

from pixelcnn.program import Elementwise, Unlowerable

LOG2 = math.log(2)
LOG2_HIGH = 0.693147180369123816490
LOG2_LOW = 1.90821492927058770002e-10
"""Two parts of log 2, the first with so few bits that its small multiples are exact."""
TERMS = 14
"""Of the series of the exponential function between -log(2) / 2 and log(2) / 2."""
LARGEST = 700.0

Numbers = np.ndarray


def exp(x: Numbers) -> Numbers:
    """The exponential function.

    Example:
        >>> abs(exp(np.array([0.0, 1.0, -3.5])) - np.exp([0.0, 1.0, -3.5])).max() < 1e-14
        np.True_
    """
    x = np.clip(x, -LARGEST, LARGEST)
    k = np.floor(x / LOG2 + 0.5)
    r = (x - k * LOG2_HIGH) - k * LOG2_LOW
    total = np.ones_like(r)
    for n in range(TERMS, 0, -1):
        total = 1.0 + total * r / n
    return np.ldexp(total, k.astype(np.int64))


def log(x: Numbers) -> Numbers:
    """The natural logarithm of numbers above zero.

    Example:
        >>> abs(log(np.array([0.1, 1.0, 7.0])) - np.log([0.1, 1.0, 7.0])).max() < 1e-14
        np.True_
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa, exponent = np.where(low, 2 * mantissa, mantissa), exponent - low
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square, total = ratio * ratio, np.zeros_like(ratio)
    for n in range(27, 0, -2):
        total = total * square + 1.0 / n
    return exponent * LOG2_HIGH + (2.0 * ratio * total + exponent * LOG2_LOW)


def sigmoid(x: Numbers) -> Numbers:
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (1.0 + exp(-x))


def tanh(x: Numbers) -> Numbers:
    """The hyperbolic tangent."""
    return 1.0 - 2.0 / (exp(2.0 * x) + 1.0)


def erf(x: Numbers) -> Numbers:
    """The error function.

    Example:
        >>> abs(erf(np.array([0.5, -2.0])) - [math.erf(0.5), math.erf(-2.0)]).max() < 1e-12
        np.True_
    """
    x = np.clip(x, -6.0, 6.0)
    square, term = x * x, x + 0.0
    total = term
    # Of positive terms: erf is exp(-x^2) times a series without cancellation.
    for n in range(1, 160):
        term = term * (2.0 * square) / (2 * n + 1)
        total = total + term
    return np.clip(2.0 / math.sqrt(math.pi) * exp(-square) * total, -1.0, 1.0)


def softplus(x: Numbers, beta: float, threshold: float) -> Numbers:
    """``log(1 + exp(beta x)) / beta``, and ``x`` where ``beta x`` is above a threshold."""
    return np.where(x * beta > threshold, x, log(1.0 + exp(np.minimum(x * beta, 30.0))) / beta)


def gelu_tanh(x: Numbers) -> Numbers:
    """See :class:`pixelcnn.program.elementwise.GeluTanh`."""
    return 0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


UNARY: dict[str, Callable[..., Numbers]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * (exp(np.minimum(x, 0.0)) - 1.0)),
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / math.sqrt(2))),
    "gelu_tanh": gelu_tanh,
    "hardswish": lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "softplus": softplus,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "tanh": tanh,
    "sigmoid": sigmoid,
    "exp": exp,
    "abs": np.abs,
    "square": lambda x: x * x,
    "clamp": np.clip,
    "scale": lambda x, factor: factor * x,
    "shift": lambda x, term: x + term,
}
"""Functions of one value, and of their constants, by the names of their primitives."""


def tabulated(node: Elementwise, values: Numbers) -> Numbers:
    """What an elementwise primitive makes of some values.

    Raises:
        Unlowerable: there is no such function here.
    """
    if node.op not in UNARY:
        raise Unlowerable(f"{node.op} has no integer form")
    return UNARY[node.op](values, *node.constants)
