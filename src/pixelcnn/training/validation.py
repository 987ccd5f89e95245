"""Likelihood of the validation set during training."""

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch

from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.training.options import TrainingOptions

QUANTILES = 101


class Stopped(Exception):
    """A validation that was told to stop."""


@dataclasses.dataclass(frozen=True)
class Validation:
    """Likelihood of a validation set.

    Attributes:
        nats: of each image, ``(n,)``.
        dimensions: sub-pixels an image.
    """

    nats: np.ndarray
    dimensions: int

    @property
    def mean(self) -> float:
        """Nats per image."""
        return float(self.nats.mean())

    @property
    def loss(self) -> float:
        """Nats per sub-pixel."""
        return self.mean / self.dimensions

    @property
    def bits_per_dim(self) -> float:
        """Bits per sub-pixel."""
        return self.loss / math.log(2)

    @property
    def stderr(self) -> float:
        """Standard error of the mean, in nats per image; 0 for a single image."""
        n = len(self.nats)
        return float(self.nats.std(ddof=1) / math.sqrt(n)) if n > 1 else 0.0

    @property
    def quantiles(self) -> list[float]:
        """Nats per image at 0 %, 1 %, ..., 100 %: what percentiles of new images are read from."""
        return [float(q) for q in np.quantile(self.nats, np.linspace(0, 1, QUANTILES)).round(4)]


def validate(
    model: PixelModel,
    data: ImageSet,
    *,
    batch_size: int,
    precision: str,
    channels_last: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Validation:
    """Scores a fixed validation set with the weights the model has.

    Args:
        model: left in the mode it was found in.
        data: a set whose levels do not change between epochs.
        batch_size: images a forward pass.
        precision: ``32``, ``bf16`` or ``64``.
        channels_last: memory layout of the images.
        stop: asked between batches.

    Raises:
        Stopped: ``stop`` said so.
    """
    nats, was_training = [], model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(data), batch_size):
                if stop():
                    raise Stopped
                index = torch.arange(start, min(start + batch_size, len(data)))
                condition = labels(model, data, index)
                levels = data.levels_at(index, 0, 0)
                found = log_prob(model, levels, condition, precision, channels_last=channels_last)
                nats.append(-found.flatten(1).double().sum(1).cpu())
    finally:
        model.train(was_training)
    return Validation(torch.cat(nats).numpy(), model.shape.dimensions)


def validation_batch(options: TrainingOptions) -> int:
    """Images a forward pass of a validation: enough to be fast, few enough to fit."""
    return max(64, min(256, options.batch_size))


def labels(model: PixelModel, data: ImageSet, index: torch.Tensor) -> torch.Tensor | None:
    """The condition of some images; None for a model without one."""
    if model.network.condition is None or data.labels is None:
        return None
    return data.labels[index]


def log_prob(
    model: PixelModel,
    levels: torch.Tensor,
    condition: torch.Tensor | None,
    precision: str,
    *,
    channels_last: bool,
) -> torch.Tensor:
    """Log-probability ``(n, c, h, w)`` in nats of levels that are known to be valid.

    The network may run in bfloat16; logarithms are always taken in at least 32 bits.
    """
    device = next(model.parameters()).device
    levels = levels.to(device, torch.int64)
    condition = None if condition is None else condition.to(device)
    x = model.encode(levels)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with autocast(device, precision):
        parameters = model.network(x, condition)
    if parameters.dtype == torch.bfloat16:
        parameters = parameters.float()
    return model.output.log_prob(parameters, levels)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """bfloat16 for what gains from it, or nothing."""
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
