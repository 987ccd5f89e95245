"""How functions and layers of PyTorch are said in primitives; the allowlist names them all."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pixelcnn.engines.constants import by_feature
from pixelcnn.engines.layout import spread_of
from pixelcnn.engines.sizes import FEATURES, IMAGES, Spread, Value
from pixelcnn.engines.units import dense, reads_units
from pixelcnn.program import Program, Tap, Unlowerable


def apply(program: Program, op: str, *values: Any, constants: Sequence[float] = ()) -> Value:
    """An elementwise function of values that are laid out alike."""
    for value in values:
        if not isinstance(value, Value):
            what = "a tensor of its own" if isinstance(value, Tensor) else repr(value)
            raise Unlowerable(f"{op} of {what}, which is no value of the network")
    if len({value.places for value in values}) != 1:
        raise Unlowerable(f"{op} of values that are laid out differently")
    if not all(isinstance(number, int | float) for number in constants):
        raise Unlowerable(f"{op} with {constants}, which are not numbers")
    numbers = (value.number for value in values)
    return Value(program.elementwise(op, *numbers, constants=constants), values[0].places)


def add(program: Program, x: Any, y: Any, alpha: float = 1) -> Value:
    """``x + y``; one of them may be a number."""
    if alpha != 1:
        raise Unlowerable(f"add with alpha = {alpha}")
    if isinstance(x, Value) and isinstance(y, Value):
        return apply(program, "add", x, y)
    x, number = (x, y) if isinstance(x, Value) else (y, x)
    if isinstance(x, Value) and isinstance(number, Tensor):
        bias = by_feature(program, x, number)
        if isinstance(bias, Value):
            return apply(program, "add", x, bias)
        return Value(program.depthwise(x.number, [itself(program, x.number)], bias), x.places)
    return apply(program, "shift", x, constants=(number,))


def subtract(program: Program, x: Any, y: Any, alpha: float = 1) -> Value:
    """``x - y``; one of them may be a number."""
    if alpha != 1:
        raise Unlowerable(f"sub with alpha = {alpha}")
    if isinstance(x, Value) and isinstance(y, Value):
        return apply(program, "sub", x, y)
    if isinstance(x, Value):
        return add(program, x, -y)
    return add(program, negate(program, y), x)


def multiply(program: Program, x: Any, y: Any) -> Value:
    """``x y``; one of them may be a number."""
    if isinstance(x, Value) and isinstance(y, Value):
        return apply(program, "mul", x, y)
    x, number = (x, y) if isinstance(x, Value) else (y, x)
    if isinstance(x, Value) and isinstance(number, Tensor):
        factor = by_feature(program, x, number)
        if isinstance(factor, Value):
            return apply(program, "mul", x, factor)
        return Value(program.depthwise(x.number, [Tap(0, 0, factor, factor != 0)], None), x.places)
    return apply(program, "scale", x, constants=(number,))


def divide(program: Program, x: Any, y: Any, rounding_mode: str | None = None) -> Value:
    """``x / y`` by a number."""
    if rounding_mode is not None or not isinstance(y, int | float) or y == 0:
        raise Unlowerable("division by anything but a number other than zero")
    return apply(program, "scale", x, constants=(1 / y,))


def negate(program: Program, x: Any) -> Value:
    """``-x``."""
    return apply(program, "scale", x, constants=(-1.0,))


def power(program: Program, x: Any, exponent: Any) -> Value:
    """``x ** exponent`` for whole exponents from 1 to 3."""
    if exponent not in (1, 2, 3) or isinstance(exponent, bool):
        raise Unlowerable(f"a power of {exponent}; 1, 2 and 3 can be had")
    if exponent == 1:
        return clone(program, x)
    square = apply(program, "square", x)
    return square if exponent == 2 else apply(program, "mul", square, x)


def clamp(program: Program, x: Any, low: Any = None, high: Any = None) -> Value:
    """``x`` within bounds, either of which may be missing."""
    bounds = (-math.inf if low is None else low, math.inf if high is None else high)
    return apply(program, "clamp", x, constants=bounds)


def gelu(program: Program, x: Any, approximate: str) -> Value:
    """Both forms of it."""
    return apply(program, "gelu_tanh" if approximate == "tanh" else "gelu", x)


def hardsigmoid(program: Program, x: Any) -> Value:
    """``min(max(x / 6 + 1 / 2, 0), 1)``."""
    sixth = apply(program, "scale", x, constants=(1 / 6,))
    return clamp(program, apply(program, "shift", sixth, constants=(0.5,)), 0.0, 1.0)


def mish(program: Program, x: Any) -> Value:
    """``x tanh(softplus(x))``."""
    soft = apply(program, "softplus", x, constants=(1.0, 20.0))
    return apply(program, "mul", x, apply(program, "tanh", soft))


def log_sigmoid(program: Program, x: Any) -> Value:
    """``-softplus(-x)``."""
    return negate(program, apply(program, "softplus", negate(program, x), constants=(1.0, 20.0)))


def identity(program: Program, x: Any, *options: Any) -> Any:
    """The value itself."""
    return x


def to(program: Program, x: Any, given: Any) -> Any:
    """What it is given, of the type and at the place that values have."""
    given = given if type(given) is tuple else (given,)
    like = program.like
    own = [like.dtype, like.device, *[torch.float32] * (like.dtype == torch.float64)]  # see Doubled
    for each in given:
        about = (each.dtype, each.device) if isinstance(each, Tensor) else (each,)
        if not hasattr(each, "number") and not all(part in own for part in about):
            raise Unlowerable(f"to{given}, where values are {like.dtype}")
    return x.to(program.like) if isinstance(x, Tensor) else x


def clone(program: Program, x: Any, memory_format: Any = None) -> Value:
    """Another value of the same numbers, which is not overwritten together with it."""
    return apply(program, "scale", x, constants=(1.0,))


def dropout(program: Program, x: Any, p: float, training: bool) -> Any:
    """The value itself, unless it is asked to act."""
    if training:
        raise Unlowerable("dropout that acts in evaluation mode")
    return x


def prelu(program: Program, x: Value, module: nn.PReLU) -> Value:
    """One slope for all features, or one a feature."""
    width, slope = program.width(x.number), module.weight.detach()
    if x.dimension != 1 and len(slope) > 1:
        raise Unlowerable("it has a slope for each row of the image")
    return Value(program.elementwise("prelu", x.number, parameter=slope.expand(width)), x.places)


def linear(program: Program, x: Any, weight: Any, bias: Tensor | None = None) -> Value:
    """A linear map of the features of a position, where they stand last, or of units."""
    if not isinstance(x, Value | Spread) or not isinstance(weight, Tensor):
        raise Unlowerable("it maps a dimension that holds no features")
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    if reads_units(program, x):
        return Value(dense(program, spread_of(program, x), weight, bias), (IMAGES, FEATURES))
    if not isinstance(x, Value) or not x.last:
        raise Unlowerable("it maps a dimension that holds no features")
    tap = Tap(0, 0, weight, torch.ones_like(weight, dtype=torch.bool))
    return Value(program.taps(x.number, [tap], bias), x.places)


def itself(program: Program, number: int, down: int = 0, right: int = 0) -> Tap:
    """The features at an offset, as they are."""
    ones = torch.ones(program.width(number)).to(program.like)
    return Tap(down, right, ones, ones.bool())
