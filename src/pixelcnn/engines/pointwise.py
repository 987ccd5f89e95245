"""Primitives that read their own position, bound to the places of what they read and write."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.products import Operation
from pixelcnn.program import Node

WRITERS: dict[str, Callable[..., Any]] = {
    "relu": partial(torch.clamp, min=0),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "scale": torch.mul,
    "shift": torch.add,
    "elu": lambda x, out: out.copy_(functional.elu(x)),
    "silu": lambda x, out: out.copy_(functional.silu(x)),
    "prelu": lambda x, slope, out: torch.where(x > 0, x, slope * x, out=out),
}


def elementwise(node: Node, run: slice, sources: Sequence[Tensor], out: Tensor) -> Operation:
    """An elementwise function of a run of features.

    Args:
        node: the primitive.
        run: the features of the node that are computed.
        sources: whole values, ``(..., features)``.
        out: where the run goes.
    """
    values = [source[..., run] for source in sources]
    if node.parameter is not None:
        values.append(node.parameter if node.parameter.dim() == 0 else node.parameter[run])
    return partial(WRITERS[node.op], *values, out=out)


def lookup(node: Node, run: slice, source: Tensor, out: Tensor) -> Operation:
    """A run of the features of a look-up, arguments as :func:`elementwise`.

    It is that of whole channels, since all that is looked up for a level becomes known with it.
    """
    assert node.parameter is not None
    size = node.parameter.shape[2]
    places = out.split(size, -1)
    each = [
        (source[..., channel], node.parameter[channel], place)
        for channel, place in enumerate(places, run.start // size)
    ]

    def apply() -> None:
        for levels, table, place in each:
            place.copy_(functional.embedding(levels.long(), table))

    return apply


def norm(node: Node, run: slice, source: Tensor, out: Tensor) -> Operation:
    """A run of the features of a norm, arguments as :func:`elementwise`."""
    assert node.parameter is not None
    groups = torch.tensor(node.groups, device=node.parameter.device)
    chosen, gain = groups[run], node.parameter[run]
    members = [(groups == group).nonzero()[:, 0] for group in range(int(groups.max()) + 1)]

    def apply() -> None:
        squares = source.square()
        if len(members) == 1:
            scale = (squares.mean(-1, keepdim=True) + node.epsilon).rsqrt_()
        else:
            means = torch.stack([squares[..., member].mean(-1) for member in members], -1)
            scale = (means + node.epsilon).rsqrt_()[..., chosen]
        torch.mul(source[..., run] * scale, gain, out=out)

    return apply
