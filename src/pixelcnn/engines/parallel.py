"""A program for whole images, by way of the cached engine."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines.cached import CachedEngine
from pixelcnn.program import Program
from pixelcnn.shapes import ImageShape, coding_order


@torch.no_grad()
def compute(program: Program, x: Tensor, condition: Tensor | None = None) -> Tensor:
    """The parameters of whole images, ``(n, out, h, w)``."""
    channels, out = x.shape[1], program.nodes[-1].width
    weight = next(node.taps[0].weight for node in program.nodes if node.taps)
    network = SimpleNamespace(order="channel" if out % channels == 0 else "pixel", out=out)
    model: Any = SimpleNamespace(
        shape=ImageShape(*x.shape[1:]), network=network, dtype=weight.dtype,
        encode=lambda values, _: values, device=weight.device,
    )  # fmt: skip
    engine = CachedEngine(model, program, len(x), condition)
    found = torch.zeros(len(x), out, *x.shape[2:], dtype=weight.dtype)
    for position in coding_order(model.shape):
        found[:, :, position.row, position.column] = engine.parameters(x, position)
    return found
