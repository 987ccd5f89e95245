"""The largest values of each node of a model's program, from which its integer twin takes its scales."""

from typing import Any

import torch
from torch import Tensor

from pixelcnn.engines import parallel
from pixelcnn.engines.programs import program_of
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view

BATCH = 16


@torch.no_grad()
def ranges(model: PixelModel, images: Any, condition: Any = None) -> list[float]:
    """The largest absolute value of each node of a model's program over some images.

    Args:
        model: as it is to be used.
        images: integer levels ``(n, c, h, w)``, like those that are to be compressed.
        condition: see :meth:`PixelModel.check_condition`.

    Raises:
        Unlowerable: the model has no program.
    """
    model = evaluation_view(model)
    program, levels = program_of(model), model.check(images)
    given = model.check_condition(condition, len(levels))
    largest = [0.0] * len(program.nodes)

    def observe(number: int, values: Tensor) -> None:
        if values.numel() and values.dtype.is_floating_point:
            largest[number] = max(largest[number], float(values.abs().max()))

    for start in range(0, len(levels), BATCH):
        part = slice(start, start + BATCH)
        some = None if given is None else given[part]
        parallel.compute(program, model.encode(levels[part]), some, observe)
    return largest
