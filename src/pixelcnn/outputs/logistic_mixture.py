"""A mixture of discretised logistic distributions: smooth over the levels, whatever their number."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.annotations import Range
from pixelcnn.outputs.base import OUTPUTS, Output, at_least_single
from pixelcnn.shapes import MAX_LEVELS

SHARPEST = 1 / 16
"""Smallest scale, in levels: a level in the middle of such a component gets all but 0.07 % of it."""
BROADEST = 1e3
"""Largest scale, in half ranges of the levels: flat but for the two ends."""
FAR = 1e30
"""A cut beyond the ends, in levels: no component reaches it, and its gradients are zero, not NaN."""


@OUTPUTS.register("logistic-mixture")
@dataclass(frozen=True, kw_only=True)
class LogisticMixture(Output):
    """A mixture of logistic distributions, each cut into one piece a level; the ends take the tails.

    The components are those of whole pixels: one set of weights, and within a component the mean of a
    channel moves linearly with the pixel's earlier channels. So the parameters of a pixel see earlier
    pixels only (``order="pixel"``; for one channel either order will do), and a channel given the earlier
    ones is a mixture whose components are re-weighted by how well they explain those.

    Reference: Salimans et al., PixelCNN++, 2017, sections 2.1 and 2.2 (equation 2 is one component).
    Deviations: any number of levels and channels; each piece is computed exactly, as a product that does
    not cancel, where the reference takes a density for small ones, after which levels do not sum to one.

    The parameters of a pixel, ``components`` numbers each: log-weights; then for each channel its mean and
    log-scale on levels scaled to ``[-1, 1]``, and a coefficient (before tanh) for each earlier channel.

    Args:
        levels: number of levels.
        components: of the mixture.

    Example:
        >>> output = LogisticMixture(levels=65_536)
        >>> nats = output.log_prob(torch.zeros(1, 30, 1, 1), torch.tensor(32_768).reshape(1, 1, 1, 1))
        >>> round(nats.item(), 3), round(math.log(2 / 65_535 / 4), 3)   # the density at its mode is 1/4
        (-11.783, -11.783)
    """

    levels: Annotated[int, Range(2, MAX_LEVELS)] = 256
    components: Annotated[int, Range(1, 1_000)] = 10
    couples_channels: ClassVar[bool] = True

    def parameters_per_pixel(self, channels: int) -> int:
        return self.components * first_row(channels)

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        table, levels = self.rows(parameters.movedim(1, -1)), levels.movedim(1, -1)
        log_weights, found = self.log_weights(table, levels[..., :0]), []
        for channel in range(levels.shape[-1]):
            joint = log_weights + self.log_piece(table, levels, channel)
            found.append(joint.logsumexp(-1, keepdim=True))
            log_weights = joint - found[-1]
        return torch.cat(found, -1).movedim(-1, 1)

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        table, channel = self.rows(parameters.double()), before.shape[-1]
        mean, scale = self.component(table, before, channel)
        cuts = torch.arange(self.levels - 1, device=mean.device).to(mean) + 0.5
        distance = (cuts - mean[..., None]) / scale[..., None]
        below = functional.pad(torch.sigmoid(distance), (0, 1), value=1.0)
        above = functional.pad(torch.sigmoid(-distance), (1, 0), value=1.0)
        pieces = below * above
        pieces[..., 1:-1] *= -torch.expm1(-1 / scale)[..., None]
        return torch.einsum("...k,...kl->...l", self.log_weights(table, before).exp(), pieces)

    def rows(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """The parameters of pixels by rows, ``(..., components)`` each, in at least single precision."""
        return at_least_single(parameters).unflatten(-1, (-1, self.components)).unbind(-2)

    def log_weights(self, table: tuple[Tensor, ...], before: Tensor) -> Tensor:
        """Log-weights of the components given the levels of earlier channels, ``(..., components)``."""
        log_weights = table[0] - table[0].logsumexp(-1, keepdim=True)
        for channel in range(before.shape[-1]):
            log_weights = (log_weights + self.log_piece(table, before, channel)).log_softmax(-1)
        return log_weights

    def component(
        self, table: tuple[Tensor, ...], before: Tensor, channel: int
    ) -> tuple[Tensor, Tensor]:
        """Mean and scale of a channel in every component, in levels, ``(..., components)``."""
        row, half = first_row(channel), (self.levels - 1) / 2
        mean, log_scale = table[row : row + 2]
        for earlier, coefficient in enumerate(table[row + 2 : row + 2 + channel]):
            level = before[..., earlier, None].to(mean.dtype) / half - 1
            mean = mean + coefficient.tanh() * level
        narrow, broad = math.log(SHARPEST / half), math.log(BROADEST)
        # A clamp, whose gradient takes one pass where that of Tensor.clamp takes four.
        return (mean + 1) * half, functional.hardtanh(log_scale, narrow, broad).exp() * half

    def log_piece(self, table: tuple[Tensor, ...], levels: Tensor, channel: int) -> Tensor:
        """Log-probability of a channel's level in every component, ``(..., components)``.

        With the level's cuts a above and b below, ``sigmoid(a) - sigmoid(b)`` is ``sigmoid(a) *
        sigmoid(-b) * (1 - exp(b - a))``, whose three logarithms are accurate for any a > b. The lowest
        level has its b, the highest its a so far out that their logarithms are zero.
        """
        mean, scale = self.component(table, levels, channel)
        level = levels[..., channel, None].to(mean.dtype)
        upper = torch.where(level == self.levels - 1, FAR, level + 0.5)
        lower = torch.where(level == 0, -FAR, level - 0.5)
        sharpness = 1 / scale
        below = functional.logsigmoid((upper - mean) * sharpness)
        above = functional.logsigmoid((mean - lower) * sharpness)
        return below + above + (-torch.expm1((lower - upper) * sharpness)).log()


def first_row(channel: int) -> int:
    """Row of a channel's mean, after the weights and two rows and more of each earlier channel.

    Example:
        >>> [first_row(channel) for channel in range(4)]
        [1, 3, 6, 10]
    """
    return (channel + 1) * (channel + 2) // 2
