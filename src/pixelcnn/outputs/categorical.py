"""Any number of levels, a free probability for each."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from pixelcnn.annotations import Range
from pixelcnn.outputs.base import OUTPUTS, Output, at_least_single
from pixelcnn.shapes import MAX_LEVELS


@OUTPUTS.register("categorical")
@dataclass(frozen=True, kw_only=True)
class Categorical(Output):
    """Softmax over the levels of each channel.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 2.2.

    Args:
        levels: number of levels.

    Example:
        >>> Categorical(levels=4).pmf(torch.zeros(4), torch.zeros(0))
        tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """

    levels: Annotated[int, Range(2, MAX_LEVELS)] = 256

    def parameters_per_pixel(self, channels: int) -> int:
        return channels * self.levels

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        logits = at_least_single(parameters).unflatten(1, (-1, self.levels))
        return logits.log_softmax(2).gather(2, levels.long()[:, :, None])[:, :, 0]

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        channel = before.shape[-1]
        logits = parameters[..., channel * self.levels : (channel + 1) * self.levels]
        return torch.softmax(logits.double(), -1)
