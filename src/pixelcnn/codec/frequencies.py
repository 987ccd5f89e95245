"""From the twin's parameters to the frequencies that a range coder counts with, in whole numbers.

A frequency is at least 1, and those of a sub-pixel's levels sum to :data:`TOTAL`. Everything is 64-bit
integers, but for tables and factors of single float64 operations.
"""

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.functions import exp, sigmoid, tanh
from pixelcnn.engines.native import Tables
from pixelcnn.errors import ModelError
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture, Output
from pixelcnn.outputs.logistic_mixture import BROADEST, SHARPEST, first_row

BITS = 24
TOTAL = 2**BITS
"""Of a sub-pixel's frequencies."""
WEIGHT = 28
"""Bits of an unnormalised weight."""
FINE = 10
"""Bits behind the point of what a sigmoid is looked up for."""
FINER = 8
"""Further ones where there are more than :data:`LOOKED_UP` levels, which lie near each other: between two
entries the curve is a straight line."""
LOOKED_UP = 256
CURVE = 26
"""Bits of the sigmoid's values."""
PLACE = 12
"""Bits behind the point of a mean, in levels."""
SHARP = 24
"""Bits behind the point of the inverse of a scale."""
FARTHEST = 2.0**21
"""Levels between a mean and the lowest level at most, so that no product outgrows 64 bits."""
SPARE = 12
"""Bits of a mixture's sums that are too many for a product."""


class Frequencies:
    """What the levels of a sub-pixel count, given the twin's parameters of its pixel.

    Args:
        output: of the model.
        scale: what 1 of a parameter stands for.
        limit: no parameter is larger, nor smaller than its negative.

    Raises:
        ModelError: there is no integer form of this output.
    """

    def __init__(self, output: Output, scale: float, limit: int) -> None:
        self.output, self.limit = output, limit
        kinds: dict[type[Output], Callable[..., Any]] = {
            Bernoulli: _Softmax, Categorical: _Softmax, LogisticMixture: _Mixture,
        }  # fmt: skip
        if type(output) not in kinds:
            raise ModelError(f"the output {type(output).__name__} has no integer form")
        self._below = kinds[type(output)](output, scale, limit)

    def __call__(self, parameters: Tensor, before: Tensor) -> Tensor:
        """Frequencies of one channel, int64 ``(..., levels)``.

        Args:
            parameters: whole numbers of one pixel, ``(..., parameters_per_pixel)``.
            before: levels of the pixel's earlier channels, ``(..., k)``; channel k is meant.
        """
        below, total = self._below(parameters.long(), before.long())
        levels = below.shape[-1] - 1
        ends = below * (TOTAL - levels) // total + torch.arange(levels + 1)
        ends[..., -1] = TOTAL
        return ends.diff(dim=-1)

    @cached_property
    def tables(self) -> Tables:
        """What a native engine looks up."""
        return Tables(np.concatenate([each.numpy() for each in self._below.tables]), self.limit)


frequencies_of = lru_cache(maxsize=4)(Frequencies)
"""The tables of the latest outputs are kept, images of whatever shape."""


class _Softmax:
    """Logits: of each level, or of level 1 against 0."""

    def __init__(self, output: Output, scale: float, limit: int) -> None:
        self.output = output
        # Their sum times TOTAL is below 2^62.
        bits = min(WEIGHT, 62 - BITS - (output.levels - 1).bit_length())
        self.decay = decay(scale, 2 * limit, bits)
        self.tables = (self.decay,)

    def __call__(self, parameters: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        channel = before.shape[-1]
        if isinstance(self.output, Bernoulli):
            logit = parameters[..., channel, None]
            logits = torch.cat([torch.zeros_like(logit), logit], -1)
        else:
            levels = self.output.levels
            logits = parameters[..., channel * levels : (channel + 1) * levels]
        below = self.decay[logits.amax(-1, keepdim=True) - logits].cumsum(-1)
        below = torch.cat([torch.zeros_like(below[..., :1]), below], -1)
        return below, below[..., -1:]


class _Mixture:
    """Logistic distributions, see :class:`pixelcnn.outputs.LogisticMixture`."""

    def __init__(self, output: LogisticMixture, scale: float, limit: int) -> None:
        self.output, self.limit = output, limit
        values = np.arange(-limit, limit + 1, dtype=np.float64) * scale
        half = (output.levels - 1) / 2
        self.decay = decay(scale, 2 * limit)
        means = np.clip((values + 1.0) * half, -FARTHEST, FARTHEST)
        self.means = _whole(means * 2**PLACE)
        narrow, broad = math.log(SHARPEST / half), math.log(BROADEST)
        self.inverses = _whole(exp(-np.clip(values, narrow, broad)) / half * 2**SHARP)
        self.slopes = _whole(tanh(values) * 2**PLACE)
        reach = np.arange(-(32 << FINE), (32 << FINE) + 1, dtype=np.float64)
        self.curve = _whole(sigmoid(reach / 2**FINE) * 2**CURVE)
        self.cuts = 2 * torch.arange(output.levels - 1) + 1
        self.finer = finer(output)
        self.tables = (self.decay, self.means, self.inverses, self.slopes, self.curve)

    def __call__(self, parameters: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        table = parameters.unflatten(-1, (-1, self.output.components))
        logits, channel = table[..., 0, :], before.shape[-1]
        weights = parts(self.decay[logits.amax(-1, keepdim=True) - logits])
        for earlier in range(channel):
            below = self._below(table, before, earlier)
            level = before[..., earlier, None, None].expand(*below.shape[:-1], 1)
            piece = below.gather(-1, level + 1) - below.gather(-1, level)
            weights = parts(weights * piece[..., 0] >> CURVE - SPARE)
        below = (weights[..., None] * self._below(table, before, channel)).sum(-2) >> SPARE
        return below, torch.tensor(2 ** (BITS + CURVE - SPARE))

    def _below(self, table: Tensor, before: Tensor, channel: int) -> Tensor:
        """Probability of all levels below each, and of all, ``(..., components, levels + 1)``."""
        row, levels = first_row(channel), self.output.levels
        mean = self.means[table[..., row, :] + self.limit]
        for earlier in range(channel):
            slope = self.slopes[table[..., row + 2 + earlier, :] + self.limit]
            mean = mean + (slope * (2 * before[..., earlier, None] - (levels - 1)) >> 1)
        inverse = self.inverses[table[..., row + 1, :] + self.limit]
        distance = (self.cuts.to(mean.device) << PLACE - 1) - mean[..., None]
        place = (distance * inverse[..., None]) >> PLACE + SHARP - FINE - self.finer
        reach = 32 << FINE + self.finer
        place = place.clamp(-reach, reach) + reach
        entry, rest = place >> self.finer, place & (1 << self.finer) - 1
        middle = self.curve[entry]
        if self.finer:
            after = self.curve[(entry + 1).clamp(max=len(self.curve) - 1)]
            middle = middle + ((after - middle) * rest >> self.finer)
        nothing = torch.zeros_like(middle[..., :1])
        return torch.cat([nothing, middle, nothing + 2**CURVE], -1)


def finer(output: Output) -> int:
    """Bits by which a mixture's curve is looked up between its entries.

    Example:
        >>> finer(LogisticMixture(levels=256)), finer(LogisticMixture(levels=4096)), finer(Bernoulli())
        (0, 8, 0)
    """
    many = isinstance(output, LogisticMixture) and output.levels > LOOKED_UP
    return FINER if many else 0


def parts(weights: Tensor) -> Tensor:
    """Weights in proportion that sum to at most :data:`TOTAL`; alike where all are zero."""
    total = weights.sum(-1, keepdim=True)
    weights = torch.where(total == 0, torch.ones_like(weights), weights)
    return weights * TOTAL // weights.sum(-1, keepdim=True)


def decay(scale: float, most: int, bits: int = WEIGHT) -> Tensor:
    """``exp(-k scale)`` for k from 0 to ``most``, with so many bits behind the point."""
    return _whole(exp(-np.arange(most + 1, dtype=np.float64) * scale) * 2**bits)


def _whole(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.floor(values + 0.5).astype(np.int64))
