"""Primitives that read their own position, in torch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.program import Node

Index = slice | Tensor
"""Some features of a value: all of them, or their numbers."""

ALL = slice(None)

ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "relu": torch.relu,
    "elu": functional.elu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "prelu": lambda x, slope: torch.where(x > 0, x, slope * x),
    "scale": torch.mul,
    "shift": torch.add,
}


def pointwise(node: Node, index: Index) -> Callable[[list[Tensor]], Tensor]:
    """A function of the sources' values ``(..., features)`` that gives the features ``index`` of a node."""
    if node.op == "slice":
        part = slice(node.start, node.start + node.width)
        return lambda values: values[0][..., part][..., index]
    if node.op == "cat":
        return lambda values: torch.cat(values, -1)[..., index]
    if node.op == "norm":
        return _norm(node, index)
    function, parameter = ELEMENTWISE[node.op], node.parameter
    if parameter is not None:
        own = parameter if parameter.dim() == 0 else parameter[index]
        return lambda values: function(values[0][..., index], own)
    if index is ALL:
        return lambda values: function(*values)
    return lambda values: function(*(value[..., index] for value in values))


def _norm(node: Node, index: Index) -> Callable[[list[Tensor]], Tensor]:
    assert node.parameter is not None
    groups = torch.tensor(node.groups, device=node.parameter.device)
    chosen = groups[index]
    gain, epsilon = node.parameter[index], node.epsilon
    members = [(groups == g).nonzero()[:, 0] for g in range(int(groups.max()) + 1)]

    def compute(values: list[Tensor]) -> Tensor:
        squares = values[0].square()
        means = torch.stack([squares[..., m].mean(-1) for m in members], -1)
        return values[0][..., index] * (means + epsilon).rsqrt()[..., chosen] * gain

    return compute
