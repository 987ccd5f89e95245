"""When each feature of a model's program can be computed."""

import torch
from torch import Tensor

from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.program import Program, Unlowerable


def schedule(model: PixelModel, program: Program) -> tuple[int, list[Tensor]]:
    """Steps a pixel, and the stage of each feature of each node.

    Raises:
        Unlowerable: the parameters of a channel are known too late, so the network is not causal.
    """
    steps = model.shape.channels if model.network.order == "channel" else 1
    stages = program.stages(steps)
    colours = torch.tensor(contiguous(model.network.out, steps))
    if (stages[-1] > colours).any():
        raise Unlowerable("an output reads its own channel, or what comes after it")
    return steps, stages
