"""The part of PyTorch that a program can say: functions, methods and layers.

Whatever stands in none of the tables is refused, since it might read other positions of the image.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from pixelcnn.engines.lowering import (
    Value,
    add,
    apply,
    cat,
    chunk,
    clamp,
    clone,
    divide,
    dropout,
    gelu,
    getitem,
    glu,
    hardsigmoid,
    identity,
    log_sigmoid,
    mish,
    movedim,
    multiply,
    negate,
    norm,
    permute,
    pointwise,
    power,
    prelu,
    split,
    subtract,
)
from pixelcnn.program import Program, Unlowerable


class Entry(NamedTuple):
    """How a function is lowered.

    Attributes:
        build: given the program and the arguments, the value.
        names: of the arguments after the first one; a starred one takes all that are left.
        defaults: of the last of them.
        in_place: it overwrites its first argument.
    """

    build: Callable[..., Any]
    names: tuple[str, ...] = ()
    defaults: tuple[Any, ...] = ()
    in_place: bool = False

    def bind(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """All arguments of a call, in their order.

        Raises:
            Unlowerable: one is missing, or has a name that is not known.
        """
        names = ("input", *self.names)
        if names[-1].startswith("*") and len(args) >= len(names):
            first = len(names) - 1
            rest = args[first:]
            whole = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple) else tuple(rest)
            args = (*args[:first], whole)
        names = tuple(key.lstrip("*") for key in names)
        given = dict(zip(names, args, strict=False))
        given |= {FIRST.get(key, key): value for key, value in kwargs.items()}
        defaults = dict(zip(names[len(names) - len(self.defaults) :], self.defaults, strict=True))
        missing = set(names) - set(given) - set(defaults)
        if set(given) - set(names) or len(args) > len(names) or missing:
            raise Unlowerable(f"{name} with these arguments: {args} {dict(kwargs)}")
        return [given.get(key, defaults.get(key)) for key in names]


FIRST = {"self": "input", "tensors": "input", "tensor": "input"}
"""Other names of a function's first argument."""


def function(op: str, *names: str, defaults: Sequence[Any] = ()) -> Entry:
    """An elementwise function of one value and numbers."""

    def build(program: Program, x: Any, *constants: Any) -> Value:
        return apply(program, op, x, constants=constants)

    return Entry(build, names, tuple(defaults))


ADD = Entry(add, ("other", "alpha"), (1,))
SUBTRACT = Entry(subtract, ("other", "alpha"), (1,))
MULTIPLY, DIVIDE = Entry(multiply, ("other",)), Entry(divide, ("other", "rounding_mode"), (None,))
POWER, NEGATE = Entry(power, ("exponent",)), Entry(negate)
CLAMP = Entry(clamp, ("min", "max"), (None, None))
CHUNK = Entry(chunk, ("chunks", "dim"), (0,))
SPLIT = Entry(split, ("split_size_or_sections", "dim"), (0,))
PERMUTE, MOVEDIM = Entry(permute, ("*dims",)), Entry(movedim, ("source", "destination"))
RELU, TANH, SIGMOID = function("relu"), function("tanh"), function("sigmoid")
ABS, EXP, SQUARE = function("abs"), function("exp"), function("square")
DROPOUT = Entry(dropout, ("p", "training"), (0.5, True))

FUNCTIONS: dict[Any, Entry] = {
    **dict.fromkeys((operator.add, torch.add), ADD),
    operator.iadd: ADD._replace(in_place=True),
    **dict.fromkeys((operator.sub, torch.sub, torch.subtract), SUBTRACT),
    operator.isub: SUBTRACT._replace(in_place=True),
    **dict.fromkeys((operator.mul, torch.mul, torch.multiply), MULTIPLY),
    operator.imul: MULTIPLY._replace(in_place=True),
    **dict.fromkeys((operator.truediv, torch.div, torch.divide, torch.true_divide), DIVIDE),
    operator.itruediv: DIVIDE._replace(in_place=True),
    **dict.fromkeys((operator.pow, torch.pow), POWER),
    operator.ipow: POWER._replace(in_place=True),
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), NEGATE),
    **dict.fromkeys((torch.clamp, torch.clip), CLAMP),
    **dict.fromkeys((torch.relu, functional.relu), RELU),
    torch.tanh: TANH,
    **dict.fromkeys((torch.sigmoid, torch.special.expit), SIGMOID),
    **dict.fromkeys((torch.abs, operator.abs), ABS),
    torch.exp: EXP,
    torch.square: SQUARE,
    functional.silu: function("silu"),
    functional.elu: function("elu", "alpha", defaults=(1.0,)),
    functional.gelu: Entry(gelu, ("approximate",), ("none",)),
    functional.hardswish: function("hardswish"),
    functional.softplus: function("softplus", "beta", "threshold", defaults=(1.0, 20.0)),
    functional.leaky_relu: function("leaky_relu", "negative_slope", defaults=(0.01,)),
    functional.relu6: Entry(partial(clamp, low=0.0, high=6.0)),
    functional.hardtanh: Entry(clamp, ("min_val", "max_val"), (-1.0, 1.0)),
    functional.hardsigmoid: Entry(hardsigmoid),
    functional.mish: Entry(mish),
    functional.logsigmoid: Entry(log_sigmoid),
    functional.glu: Entry(glu, ("dim",), (-1,)),
    **dict.fromkeys((functional.dropout, functional.dropout2d), DROPOUT),
    torch.cat: Entry(cat, ("dim",), (0,)),
    torch.concat: Entry(cat, ("dim",), (0,)),
    torch.chunk: CHUNK,
    torch.split: SPLIT,
    torch.permute: PERMUTE,
    torch.movedim: MOVEDIM,
    operator.getitem: Entry(getitem, ("index",)),
}
METHODS: dict[str, Entry] = {
    "add": ADD,
    "sub": SUBTRACT,
    "mul": MULTIPLY,
    "div": DIVIDE,
    "pow": POWER,
    "neg": NEGATE,
    "clamp": CLAMP,
    "clip": CLAMP,
    "relu": RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "abs": ABS,
    "exp": EXP,
    "square": SQUARE,
    "chunk": CHUNK,
    "permute": PERMUTE,
    "movedim": MOVEDIM,
    "split": Entry(split, ("split_size", "dim"), (0,)),
    "contiguous": Entry(identity, ("memory_format",), (None,)),
    "clone": Entry(clone, ("memory_format",), (None,)),
}
METHODS |= {
    f"{name}_": METHODS[name]._replace(in_place=True)
    for name in (*("add", "sub", "mul", "div", "neg", "clamp"), *("relu", "tanh", "sigmoid", "exp"))
}

MODULES: dict[type[nn.Module], Callable[[Program, Value, Any], Any]] = {
    nn.ReLU: lambda program, x, module: apply(program, "relu", x),
    nn.Tanh: lambda program, x, module: apply(program, "tanh", x),
    nn.Sigmoid: lambda program, x, module: apply(program, "sigmoid", x),
    nn.SiLU: lambda program, x, module: apply(program, "silu", x),
    nn.ELU: lambda program, x, module: apply(program, "elu", x, constants=(module.alpha,)),
    nn.GELU: lambda program, x, module: gelu(program, x, module.approximate),
    nn.Hardswish: lambda program, x, module: apply(program, "hardswish", x),
    nn.Hardsigmoid: lambda program, x, module: hardsigmoid(program, x),
    nn.Hardtanh: lambda program, x, module: clamp(program, x, module.min_val, module.max_val),
    nn.Softplus: lambda program, x, module: apply(
        program, "softplus", x, constants=(module.beta, module.threshold)
    ),
    nn.LeakyReLU: lambda program, x, module: apply(
        program, "leaky_relu", x, constants=(module.negative_slope,)
    ),
    nn.Mish: lambda program, x, module: mish(program, x),
    nn.LogSigmoid: lambda program, x, module: log_sigmoid(program, x),
    nn.GLU: lambda program, x, module: glu(program, x, module.dim),
    nn.PReLU: prelu,
    nn.Conv2d: pointwise,
    nn.Linear: pointwise,
    nn.LayerNorm: norm,
    nn.RMSNorm: norm,
    **dict.fromkeys((nn.Dropout, nn.Dropout2d, nn.Identity), identity),
}
