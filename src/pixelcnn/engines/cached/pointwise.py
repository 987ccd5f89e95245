"""Primitives that read their own position, bound to the places of what they read and write."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.cached.products import Operation
from pixelcnn.program import ELEMENTWISE, INTEGERS, Elementwise, Lookup, Norm, RoundedNorm

WRITERS: dict[str, Callable[..., Any]] = {
    "relu": partial(torch.clamp, min=0),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "scale": torch.mul,
    "shift": torch.add,
}
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
        return partial(WRITERS[node.op], *values, *node.constants, out=out)
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
    source, gain, bias = sources[0], node.gain[run], None if node.bias is None else node.bias[run]
    groups = torch.tensor(node.groups, device=gain.device)
    chosen = groups[run]
    members = [(groups == group).nonzero()[:, 0] for group in range(max(node.groups) + 1)]
    precise = torch.promote_types(gain.dtype, torch.float32)

    def means(x: Tensor) -> Tensor:
        if len(members) == 1:
            return x.mean(-1, keepdim=True)
        return torch.stack([x[..., member].mean(-1) for member in members], -1)

    def spread(statistic: Tensor, over: Tensor) -> Tensor:
        return statistic if len(members) == 1 else statistic[..., over]

    def apply() -> None:
        x = source - spread(means(source), groups) if node.centred else source
        scale = spread((means(x.to(precise).square()) + node.epsilon).rsqrt_(), chosen)
        torch.mul(x[..., run] * scale.to(x.dtype), gain, out=out)
        if bias is not None:
            out.add_(bias)

    return apply


def rounded_norm(
    node: RoundedNorm, run: slice, sources: Sequence[Tensor], out: Tensor
) -> Operation:
    """A run of the features of a norm in whole numbers, arguments as :func:`elementwise`."""
    return lambda: out.copy_(node.of(sources[0])[..., run])


TABLE: dict[str, Callable[..., Operation]] = {
    **dict.fromkeys((*ELEMENTWISE, *INTEGERS), elementwise),
    "lookup": lookup,
    "norm": norm,
    "rounded_norm": rounded_norm,
}
"""What computes a run of the features of a primitive that reads its own position alone."""
