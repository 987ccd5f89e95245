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

from pixelcnn.engines.attention import masked_fill, matmul, softmax
from pixelcnn.engines.constants import alike, new
from pixelcnn.engines.convolution import (
    batch_norm,
    convolution,
    convolve,
    convolve_transposed,
    padding,
    transposed,
)
from pixelcnn.engines.features import cat, chunk, glu, layer_norm, rms_norm, split, stack
from pixelcnn.engines.frames import getitem, pad
from pixelcnn.engines.layout import (
    expand,
    flatten,
    movedim,
    permute,
    reshape,
    squeeze,
    transpose,
    unflatten,
    unsqueeze,
)
from pixelcnn.engines.levels import embedding, long, one_hot
from pixelcnn.engines.lowering import (
    add,
    apply,
    clamp,
    clone,
    divide,
    dropout,
    gelu,
    hardsigmoid,
    identity,
    linear,
    log_sigmoid,
    mish,
    multiply,
    negate,
    power,
    prelu,
    subtract,
    to,
)
from pixelcnn.engines.sizes import Value
from pixelcnn.program import Program, Unlowerable


class Entry(NamedTuple):
    """How a function is lowered.

    Attributes:
        build: given the program and the arguments, the value.
        names: of the arguments after the first one; a starred one takes all that are left.
        defaults: of the last of them.
        in_place: it overwrites its first argument.
        any_size: it takes what is larger or smaller than the image.
        pointwise: it is a function of each feature, wherever that stands.
    """

    build: Callable[..., Any]
    names: tuple[str, ...] = ()
    defaults: tuple[Any, ...] = ()
    in_place: bool = False
    any_size: bool = False
    pointwise: bool = False

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

    return each(build, *names, defaults=defaults)


def each(build: Callable[..., Any], *names: str, defaults: Sequence[Any] = ()) -> Entry:
    """A function of each feature."""
    return Entry(build, names, tuple(defaults), pointwise=True)


ADD = each(add, "other", "alpha", defaults=(1,))
SUBTRACT = each(subtract, "other", "alpha", defaults=(1,))
MULTIPLY, DIVIDE = each(multiply, "other"), each(divide, "other", "rounding_mode", defaults=(None,))
POWER = each(power, "exponent")
DROPOUT = Entry(dropout, ("p", "training"), (0.5, True))

FUNCTIONS: dict[Any, Entry] = {
    **dict.fromkeys((operator.add, torch.add), ADD),
    **dict.fromkeys((operator.sub, torch.sub, torch.subtract), SUBTRACT),
    **dict.fromkeys((operator.mul, torch.mul, torch.multiply), MULTIPLY),
    **dict.fromkeys((operator.truediv, torch.div, torch.divide, torch.true_divide), DIVIDE),
    **dict.fromkeys((operator.pow, torch.pow), POWER),
    operator.iadd: ADD._replace(in_place=True),
    operator.isub: SUBTRACT._replace(in_place=True),
    operator.imul: MULTIPLY._replace(in_place=True),
    operator.itruediv: DIVIDE._replace(in_place=True),
    operator.ipow: POWER._replace(in_place=True),
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), each(negate)),
    **dict.fromkeys((torch.clamp, torch.clip), each(clamp, "min", "max", defaults=(None, None))),
    **dict.fromkeys((torch.relu, functional.relu), function("relu")),
    torch.tanh: function("tanh"),
    **dict.fromkeys((torch.sigmoid, torch.special.expit), function("sigmoid")),
    **dict.fromkeys((torch.abs, operator.abs), function("abs")),
    torch.exp: function("exp"),
    torch.square: function("square"),
    functional.silu: function("silu"),
    functional.elu: function("elu", "alpha", defaults=(1.0,)),
    functional.gelu: each(gelu, "approximate", defaults=("none",)),
    functional.hardswish: function("hardswish"),
    functional.softplus: function("softplus", "beta", "threshold", defaults=(1.0, 20.0)),
    functional.leaky_relu: function("leaky_relu", "negative_slope", defaults=(0.01,)),
    functional.relu6: each(partial(clamp, low=0.0, high=6.0)),
    functional.hardtanh: each(clamp, "min_val", "max_val", defaults=(-1.0, 1.0)),
    functional.hardsigmoid: each(hardsigmoid),
    functional.mish: each(mish),
    functional.logsigmoid: each(log_sigmoid),
    functional.glu: Entry(glu, ("dim",), (-1,)),
    **dict.fromkeys((functional.dropout, functional.dropout2d), DROPOUT),
    **dict.fromkeys((torch.cat, torch.concat), Entry(cat, ("dim",), (0,))),
    torch.stack: Entry(stack, ("dim",), (0,)),
    torch.chunk: Entry(chunk, ("chunks", "dim"), (0,)),
    torch.split: Entry(split, ("split_size_or_sections", "dim"), (0,)),
    torch.permute: Entry(permute, ("*dims",)),
    torch.movedim: Entry(movedim, ("source", "destination")),
    torch.transpose: Entry(transpose, ("dim0", "dim1")),
    torch.flatten: Entry(flatten, ("start_dim", "end_dim"), (0, -1)),
    torch.unsqueeze: Entry(unsqueeze, ("dim",)),
    torch.squeeze: Entry(squeeze, ("dim",)),
    torch.zeros_like: Entry(partial(alike, value=0.0)),
    torch.ones_like: Entry(partial(alike, value=1.0)),
    **dict.fromkeys((torch.matmul, operator.matmul), Entry(matmul, ("other",))),
    torch.masked_fill: Entry(masked_fill, ("mask", "value")),
    torch.softmax: Entry(softmax, ("dim",)),
    functional.softmax: Entry(softmax, ("dim", "_stacklevel", "dtype"), (3, None)),
    functional.one_hot: Entry(one_hot, ("num_classes",), (-1,)),
    functional.embedding: Entry(
        embedding,
        ("weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"),
        (None, None, 2.0, False, False),
    ),
    operator.getitem: Entry(getitem, ("index",), any_size=True),
    functional.conv2d: Entry(
        convolve,
        ("weight", "bias", "stride", "padding", "dilation", "groups"),
        (None, 1, 0, 1, 1),
        any_size=True,
    ),
    functional.conv_transpose2d: Entry(
        convolve_transposed,
        ("weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
        (None, 1, 0, 0, 1, 1),
    ),
    functional.linear: Entry(linear, ("weight", "bias"), (None,)),
    functional.layer_norm: Entry(
        layer_norm, ("normalized_shape", "weight", "bias", "eps"), (None, None, 1e-5)
    ),
    functional.rms_norm: Entry(rms_norm, ("normalized_shape", "weight", "eps"), (None, None)),
    functional.pad: Entry(pad, ("pad", "mode", "value"), ("constant", None), any_size=True),
}
METHODS: dict[str, Entry] = {
    **{
        name: FUNCTIONS[getattr(torch, name)]
        for name in (
            *("add", "sub", "mul", "div", "pow", "neg", "clamp", "clip", "relu", "tanh", "sigmoid"),
            *("abs", "exp", "square", "chunk", "permute", "movedim", "transpose", "flatten"),
            *("unsqueeze", "squeeze", "matmul", "masked_fill", "softmax"),
        )
    },
    "split": Entry(split, ("split_size", "dim"), (0,)),
    **dict.fromkeys(("view", "reshape"), Entry(reshape, ("*shape",))),
    "unflatten": Entry(unflatten, ("dim", "sizes")),
    "new_zeros": Entry(partial(new, value=0.0), ("*size",)),
    "new_ones": Entry(partial(new, value=1.0), ("*size",)),
    **dict.fromkeys(("to", "type_as"), Entry(to, ("*given",))),
    "expand": Entry(expand, ("*sizes",)),
    "float": Entry(partial(to, given=torch.float32)),
    "long": Entry(long),
    "contiguous": Entry(identity, ("memory_format",), (None,)),
    "clone": each(clone, "memory_format", defaults=(None,)),
}
METHODS |= {
    f"{name}_": METHODS[name]._replace(in_place=True)
    for name in (
        *("add", "sub", "mul", "div", "neg", "clamp", "relu", "tanh", "sigmoid", "exp"),
        "masked_fill",
    )
}


def layer(function: Callable[..., Any]) -> Callable[[Program, Value, Any], Any]:
    """A layer that is a function, whose arguments are attributes of the same names."""
    build, names, *_ = FUNCTIONS[function]
    return lambda program, x, module: build(program, x, *(getattr(module, n) for n in names))


ACTIVATIONS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.ReLU: torch.relu,
    nn.Tanh: torch.tanh,
    nn.Sigmoid: torch.sigmoid,
    nn.SiLU: functional.silu,
    nn.ELU: functional.elu,
    nn.GELU: functional.gelu,
    nn.Hardswish: functional.hardswish,
    nn.Hardsigmoid: functional.hardsigmoid,
    nn.Hardtanh: functional.hardtanh,
    nn.Softplus: functional.softplus,
    nn.LeakyReLU: functional.leaky_relu,
    nn.Mish: functional.mish,
    nn.LogSigmoid: functional.logsigmoid,
}
"""Layers that are functions of each feature."""

MODULES: dict[type[nn.Module], Callable[[Program, Value, Any], Any]] = {
    **{kind: layer(function) for kind, function in ACTIVATIONS.items()},
    nn.GLU: layer(functional.glu),
    nn.PReLU: prelu,
    nn.Conv2d: convolution,
    nn.ConvTranspose2d: transposed,
    nn.BatchNorm2d: batch_norm,
    nn.Linear: layer(functional.linear),
    **dict.fromkeys((nn.ZeroPad2d, nn.ConstantPad2d), padding),
    nn.LayerNorm: layer(functional.layer_norm),
    nn.RMSNorm: layer(functional.rms_norm),
    nn.Embedding: layer(functional.embedding),
    nn.Softmax: layer(torch.softmax),
    **dict.fromkeys((nn.Dropout, nn.Dropout2d, nn.Identity), identity),
}

POINTWISE = (*ACTIVATIONS, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Layers that act on each feature alone, and so before or after some positions are cut off."""

ANY_SIZE = (nn.Conv2d, nn.ZeroPad2d, nn.ConstantPad2d)
"""Layers that take what is larger or smaller than the image."""

OF_FRAMED = (*ANY_SIZE, *POINTWISE)
"""Layers of which something may be cut off before it is as large as the image."""

OF_SPREAD = (
    *ACTIVATIONS,
    nn.Linear,
    nn.Embedding,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.Dropout,
    nn.Identity,
)
"""Layers that take features in several dimensions, or none."""

OF_SCORES = (nn.Softmax, nn.Dropout, nn.Identity)
"""Layers that take what attention weighs by."""
