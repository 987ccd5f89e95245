"""Primitives that read their own position, bound to the places of what they read and write."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.cached.products import Operation
from pixelcnn.program import ELEMENTWISE, INTEGERS, Elementwise, Lookup, Norm

WRITERS = frozenset(("relu", "tanh", "sigmoid", "add", "sub", "mul", "scale", "shift"))
"""Functions that can write to a place; of the others the result is copied there."""


def elementwise(node: Elementwise, run: slice, sources: Sequence[Tensor], out: Tensor) -> Operation:
    """An elementwise function of a run of features.

    Args:
        node: the primitive.
        run: the features of the node that are computed.
        sources: whole values, ``(..., features)``.
        out: where the run goes.
    """
    return apply(node, run, [source[..., run] for source in sources], out)


def apply(node: Elementwise, run: slice, values: Sequence[Tensor], out: Tensor) -> Operation:
    """As :func:`elementwise`, of values of the run alone."""
    if node.op in WRITERS:
        return partial(type(node).of, *values, *node.constants, out=out)
    part = node if node.parameter is None else replace(node, parameter=node.parameter[run])
    return lambda: out.copy_(part.function(*values))


def lookup(node: Lookup, run: slice, sources: Sequence[Tensor], out: Tensor) -> Operation:
    """A run of the features of a look-up, arguments as :func:`elementwise`.

    It is that of whole channels, since all that is looked up for a level becomes known with it.
    """
    size = node.table.shape[2]
    places = out.split(size, -1)
    each = [
        (sources[0][..., channel], node.table[channel], place)
        for channel, place in enumerate(places, run.start // size)
    ]

    def apply() -> None:
        for levels, table, place in each:
            place.copy_(functional.embedding(levels.long(), table))

    return apply


def norm(node: Norm, run: slice, sources: Sequence[Tensor], out: Tensor) -> Operation:
    """A run of the features of a norm, arguments as :func:`elementwise`."""
    return lambda: out.copy_(node.of(sources[0], run))


TABLE: dict[str, Callable[..., Operation]] = {
    **dict.fromkeys((*ELEMENTWISE, *INTEGERS), elementwise),
    "lookup": lookup,
    **dict.fromkeys(("norm", "rounded_norm"), norm),
}
"""What computes a run of the features of a primitive that reads its own position alone."""
