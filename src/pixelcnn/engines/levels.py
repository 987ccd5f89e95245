"""Levels that are looked up: tables of a network's own, as layers and functions of PyTorch."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.layout import settled, spread_of
from pixelcnn.engines.sizes import FEATURES
from pixelcnn.program import Input, Program, Unlowerable


def embedding(
    program: Program,
    x: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *options: Any,
) -> Any:
    """The row of a table for each level, behind all dimensions."""
    found = spread_of(program, x)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or max_norm is not None:
        raise Unlowerable("an embedding whose table is no tensor (levels, features)")
    channels, features = program.width(found.number), weight.shape[1]
    number = program.lookup(found.number, weight.detach().expand(channels, -1, -1))
    index = found.index[..., None] * features + torch.arange(features)
    return settled(
        program, replace(found, number=number, index=index, places=(*found.places, FEATURES))
    )


def one_hot(program: Program, x: Any, num_classes: int) -> Any:
    """A one among zeros for each level."""
    if num_classes < 1:
        raise Unlowerable("one_hot of as many levels as there happen to be")
    return embedding(program, x, torch.eye(num_classes).to(program.like))


def long(program: Program, x: Any) -> Any:
    """Levels that are embedded, which are whole numbers."""
    if not isinstance(program.nodes[x.number], Input):
        raise Unlowerable("long of what is no level")
    return x


OF_LEVELS = (embedding, one_hot, long)
"""Functions of levels that are not scaled."""
