"""The negative log-likelihood that a training lowers, in which precision, and what a validation found."""

import contextlib
import dataclasses
import math

import numpy as np
import torch
from torch import Tensor, nn

from pixelcnn.compiling import processor
from pixelcnn.data import ImageSet
from pixelcnn.engines.full import name_of, whole_pass
from pixelcnn.errors import ModelError
from pixelcnn.layers import features_last
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.scoring import condition_of, standard_error

QUANTILES = 101

FAST_BFLOAT16 = (("amx_bf16",), ("AuthenticAMD", "avx512_bf16"))
"""Words in what a processor says of itself that together make bfloat16 faster than float32. AMD's vector
units multiply twice as many pairs of bfloat16 in a step; Intel's as many as of float32, so that the rounding
before it is lost time, unless there is a matrix unit (AMX)."""


class Loss(nn.Module):
    """A model with its loss, as one module: what is spread over processes, and compiled.

    Args:
        model: the model.
        precision: ``32``, ``bf16`` or ``64``.
        channels_last: memory layout of the images.
    """

    def __init__(self, model: PixelModel, precision: str, *, channels_last: bool) -> None:
        super().__init__()
        self.model, self.precision, self.channels_last = model, precision, channels_last

    def forward(self, levels: Tensor, condition: Tensor | None, weight: float) -> Tensor:
        """The sum of the images' negative log-likelihoods in nats per sub-pixel, each with a weight."""
        return self.log_prob(levels, condition).sum() * (-weight / self.model.shape.dimensions)

    def log_prob(self, levels: Tensor, condition: Tensor | None) -> Tensor:
        """Log-probability ``(n, c, h, w)`` in nats of levels that are known to be valid.

        The network may run in bfloat16; logarithms are always taken in at least 32 bits.
        """
        model, device = self.model, self.model.device
        levels = levels.to(device, torch.int64)
        condition = None if condition is None else condition.to(device)
        x = model.encode(levels)
        if self.channels_last:
            x = features_last(x)
        with autocast(device, self.precision):
            parameters = model.network(x, condition)
        if parameters.dtype == torch.bfloat16:
            parameters = parameters.float()
        return model.output.log_prob(parameters, levels)


class Stopped(Exception):
    """A validation or a drawing that was told to stop."""


@dataclasses.dataclass(frozen=True)
class Validation:
    """Likelihood of a validation set.

    Attributes:
        nats: of each image, ``(n,)``.
        dimensions: sub-pixels an image.
        precision: in which they were computed: ``32``, ``bf16`` or ``64``.
    """

    nats: np.ndarray
    dimensions: int
    precision: str = "32"

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
        """Standard error of the mean, in nats per image; NaN of a single image."""
        return standard_error(torch.from_numpy(self.nats))

    @property
    def quantiles(self) -> list[float]:
        """Nats per image at 0 %, 1 %, ..., 100 %: what percentiles of new images are read from."""
        return [float(q) for q in np.quantile(self.nats, np.linspace(0, 1, QUANTILES)).round(4)]


def try_out(model: PixelModel, images: ImageSet) -> None:
    """Computes one image: a network of anybody's may be for others, and is to say so in one line.

    Raises:
        ModelError: the network cannot compute it, or gives no parameters for it, or none with a gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        given = condition_of(model, images)
        condition = None if given is None else model.standardised(given[:1]).to(model.device)
        levels = images.levels_at([0]).to(model.device)
        found = whole_pass(evaluation_view(model), levels, condition)
    if not found.requires_grad:
        raise ModelError(
            f"no gradient comes from what {name_of(model.network)} gives",
            hint="forward computes with tensors, without no_grad and detach",
        )


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """bfloat16 for what gains from it, or nothing."""
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def resolve_precision(precision: str, device: str) -> str:
    """``auto`` as ``bf16`` where that is faster, else ``32``.

    Example:
        >>> resolve_precision("64", "cpu")
        '64'
    """
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    said = processor() if device == "cpu" else ""
    return "bf16" if any(all(word in said for word in words) for words in FAST_BFLOAT16) else "32"
