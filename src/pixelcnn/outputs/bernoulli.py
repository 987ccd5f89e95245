"""Two levels."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.annotations import Range
from pixelcnn.outputs.base import OUTPUTS, Output, at_least_single


@OUTPUTS.register("bernoulli")
@dataclass(frozen=True, kw_only=True)
class Bernoulli(Output):
    """Level 1 with probability ``sigmoid(parameter)``.

    Example:
        >>> logits = torch.zeros(1, 1, 1, 2)
        >>> Bernoulli().log_prob(logits, torch.tensor([0, 1]).reshape(1, 1, 1, 2)).flatten()
        tensor([-0.6931, -0.6931])
    """

    levels: Annotated[int, Range(2, 2)] = 2

    def parameters_per_pixel(self, channels: int) -> int:
        return channels

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        parameters = at_least_single(parameters)
        sign = 1 - 2 * levels.to(parameters.dtype)
        return -functional.softplus(sign * parameters)

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        logit = parameters[..., before.shape[-1]].double()
        return torch.stack([torch.sigmoid(-logit), torch.sigmoid(logit)], -1)
