"""Exact likelihoods of images and data sets."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import ImageSet
from pixelcnn.errors import DataError, ModelError
from pixelcnn.model import PixelModel

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Score:
    """Negative log-likelihood of a data set, and all that is needed to compare it.

    Attributes:
        nats: mean per image.
        stderr: standard error of that mean, in nats.
        images: how many.
        dimensions: sub-pixels per image.
        data: name of the data set.
        split: the part of it.
        levels: of its pixels.
        binarisation: how levels came about.
        content_hash: SHA-256 of the levels that were scored.
        weights: ``"averaged"`` or ``"raw"``.
        parameters: of the model.
    """

    nats: float
    stderr: float
    images: int
    dimensions: int
    data: str
    split: str
    levels: int
    binarisation: str
    content_hash: str
    weights: str
    parameters: int

    @property
    def bits_per_dim(self) -> float:
        """The mean in bits per sub-pixel."""
        return bits_per_dim(self.nats, self.dimensions)

    def as_json(self) -> dict[str, Any]:
        """The evaluation record under its public keys."""
        return {
            "nats_per_image": self.nats,
            "stderr": self.stderr,
            "bits_per_dim": self.bits_per_dim,
            "images": self.images,
            "dimensions": self.dimensions,
            "data": self.data,
            "split": self.split,
            "levels": self.levels,
            "binarisation": self.binarisation,
            "content_hash": self.content_hash,
            "weights": self.weights,
            "parameters": self.parameters,
        }


def bits_per_dim(nats: float, dimensions: int) -> float:
    """Nats per image as bits per sub-pixel.

    Example:
        >>> round(bits_per_dim(65.15, 784), 4)
        0.1199
    """
    return nats / (dimensions * math.log(2))


def score(
    model: PixelModel,
    images: Any,
    condition: Any = None,
    *,
    batch_size: int = BATCH_SIZE,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Negative log-likelihood of each image in nats, float64 ``(n,)``.

    Args:
        model: the model.
        images: integer levels ``(n, c, h, w)``.
        condition: see :meth:`PixelModel.check_condition`.
        batch_size: images scored at a time.
        callback: called with images done and images in all.

    Raises:
        DataError, ModelError, ConfigError: see :meth:`PixelModel.log_prob_map`.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> score(model, torch.zeros(3, 1, 5, 7, dtype=torch.uint8)).dtype
        torch.float64
    """
    condition = model.check_condition(condition, len(images))
    nats = torch.empty(len(images), dtype=torch.float64)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                some = None if condition is None else condition[part]
                nats[part] = -model.log_prob_map(images[part], some).double().sum((1, 2, 3)).cpu()
                if callback is not None:
                    callback(min(start + batch_size, len(images)), len(images))
    finally:
        model.train(training)
    return nats


def condition_of(model: PixelModel, data: ImageSet) -> Tensor | None:
    """The labels of a data set where a model is conditioned on labels, else None.

    Raises:
        ModelError: the model needs labels and the data have none, or needs another kind of condition.
    """
    if model.network.condition is None:
        return None
    if model.network.condition != "label" or data.labels is None:
        raise ModelError(
            f"this model needs a {model.network.condition} for each image, {data.name} has none",
            hint="use the Python functions, which take condition=",
        )
    return data.labels


def evaluate(
    model: PixelModel,
    data: ImageSet,
    *,
    limit: int | None = None,
    batch_size: int = BATCH_SIZE,
    callback: Callable[[int, int], None] | None = None,
) -> Score:
    """Mean negative log-likelihood of a data set, with its standard error and what it was measured on.

    Args:
        model: the model.
        data: dynamically binarised sets are drawn once, with seed 0.
        limit: score so many images only, evenly spread over the set.
        batch_size: images scored at a time.
        callback: called with images done and images in all.

    Raises:
        DataError: an empty set, or levels that the model does not have.
        ModelError: images of another shape than the model's.
    """
    data = data.frozen()
    if limit is not None:
        data = data.limit(limit)
    if len(data) == 0:
        raise DataError(f"{data.name} ({data.split}) holds no image")
    if data.levels != model.levels:
        raise ModelError(
            f"this model is for {model.levels} levels, {data.name} has {data.levels}",
            hint=f"load the data with {model.levels} levels",
        )
    nats = score(
        model, data.images, condition_of(model, data), batch_size=batch_size, callback=callback
    )
    spread = float(nats.std(unbiased=True)) if len(nats) > 1 else math.nan
    return Score(
        nats=float(nats.mean()),
        stderr=spread / math.sqrt(len(nats)),
        images=len(nats),
        dimensions=model.shape.dimensions,
        data=data.name,
        split=data.split,
        levels=data.levels,
        binarisation=data.binarisation,
        content_hash=data.content_hash,
        weights=str(model.record.get("weights", "raw")),
        parameters=model.parameters_count,
    )


def percentiles(model: PixelModel, nats: Tensor) -> Tensor:
    """Where scores lie among the stored validation scores, 0 (likely) to 100 (unlikely), float64 ``(n,)``.

    Raises:
        ModelError: the model file holds no validation scores.
    """
    quantiles = model.record.get("validation_quantiles")
    if not quantiles:
        raise ModelError(
            "this model holds no validation scores", hint="train it with a validation set"
        )
    return torch.from_numpy(np.interp(nats.numpy(), quantiles, np.linspace(0, 100, len(quantiles))))


def png_nats(images: Tensor, levels: int) -> Tensor:
    """Size of each image as an optimised PNG in nats, float64 ``(n,)``.

    The complexity term of Serra et al., Input complexity and out-of-distribution detection, 2020.

    Args:
        images: integer levels ``(n, c, h, w)``; other than 3 channels are stacked into one grey picture.
        levels: up to 256 are stored in 8 bits, more in 16.
    """
    from PIL import Image

    sizes = []
    for image in images.cpu().numpy():
        channels, height, width = image.shape
        if levels > 256:
            picture = Image.fromarray(image.reshape(channels * height, width).astype(np.uint16))
        elif channels == 3:
            picture = Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8))
        else:
            sheet = image.reshape(channels * height, width).astype(np.uint8)
            picture = (
                Image.fromarray(sheet * 255).convert("1") if levels == 2 else Image.fromarray(sheet)
            )
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        sizes.append(8 * buffer.tell() * math.log(2))
    return torch.tensor(sizes, dtype=torch.float64)
