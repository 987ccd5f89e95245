"""Exact likelihoods of images and data sets."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.charts import table
from pixelcnn.config import check_integer
from pixelcnn.data import ImageSet
from pixelcnn.devices import Device, exact_convolutions, float64_device, placed
from pixelcnn.errors import DataError, ModelError
from pixelcnn.extent import require_batch
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view

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

    @property
    def bits_per_dim_stderr(self) -> float:
        """The standard error of the mean in bits per sub-pixel."""
        return bits_per_dim(self.stderr, self.dimensions)

    def as_json(self) -> dict[str, Any]:
        """The evaluation record under its public keys."""
        return {
            "nats_per_image": self.nats,
            "stderr": self.stderr,
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_stderr": self.bits_per_dim_stderr,
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

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = self.as_json().items()
        return table((name, f"{v:.4f}" if isinstance(v, float) else v) for name, v in rows)


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
    device: Device | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Negative log-likelihood of each image in nats, float64 ``(n,)``, on the CPU.

    Args:
        model: computes in evaluation mode, whatever mode it is in.
        images: integer levels ``(n, c, h, w)``.
        condition: see :meth:`PixelModel.check_condition`.
        batch_size: images scored at a time.
        device: where to compute, see :func:`pixelcnn.devices.resolve_device`; None for where the model is.
            Elsewhere a copy of the model computes.
        callback: called with images done and images in all.

    Raises:
        DataError, ModelError, ConfigError: see :meth:`PixelModel.log_prob_map`.
        ConfigError: a batch size out of range, or a device that is not there.
        ResourceError: a batch does not fit into memory.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=8, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> score(model, torch.zeros(3, 1, 5, 7, dtype=torch.uint8)).dtype
        torch.float64
    """
    check_integer("batch_size", batch_size, 1, 2**31)
    model = evaluation_view(placed(model, device))
    condition = model.check_condition(condition, len(images))
    require_batch(model, images[:batch_size])
    nats = torch.empty(len(images), dtype=torch.float64)
    exact = float64_device(model.device)
    with torch.inference_mode(), exact_convolutions(model.device):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            some = None if condition is None else condition[part]
            found = model.log_prob_map(images[part], some)
            nats[part] = -found.to(exact).double().sum((1, 2, 3)).cpu()
            if callback is not None:
                callback(min(start + batch_size, len(images)), len(images))
    return nats


def condition_of(model: PixelModel, data: ImageSet) -> Tensor | None:
    """What the images of a data set are given to a model with: labels, vectors or maps; None if nothing.

    Labels with names count as the model's classes do, whatever other classes its training data had.

    Raises:
        ModelError: the data have not what the model needs, or a class that it does not know.
    """
    kind, size = model.network.condition, model.network.condition_size
    if kind is None:
        return None
    found = data.given(kind)
    if found is None:
        raise ModelError(
            f"this model needs a {kind} for each image, {data.name} has none",
            hint="--label says one for all"
            if kind == "label"
            else f"store the {kind}s as 'condition' in an .npz file (in Python ImageSet(condition=))",
        )
    if kind != "label" and found.shape[1] != size:
        raise ModelError(
            f"this model needs {kind}s of size {size}, {data.name} has {found.shape[1]}"
        )
    return renumbered(found, data.classes, model) if kind == "label" else found


def renumbered(labels: Tensor, classes: tuple[str, ...], model: PixelModel) -> Tensor:
    """Labels by their names, as a model counts its classes.

    Raises:
        ModelError: a class that it does not know.
    """
    known = list(model.record.get("classes") or [])
    if known and classes and list(classes) != known:
        unknown = [name for name in classes if name not in known]
        if unknown:
            raise ModelError(f"this model knows no class {unknown[0]!r}, only {', '.join(known)}")
        return torch.tensor([known.index(name) for name in classes])[labels]
    if len(labels) and int(labels.max()) >= model.network.condition_size:
        raise ModelError(
            f"this model knows {model.network.condition_size} classes, a label is {int(labels.max())}"
        )
    return labels


def evaluate(
    model: PixelModel,
    data: ImageSet,
    *,
    limit: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: Device | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Score:
    """Mean negative log-likelihood of a data set, with its standard error and what it was measured on.

    Args:
        model: the model.
        data: dynamically binarised sets are drawn once, with seed 0.
        limit: score so many images only, evenly spread over the set.
        batch_size: images scored at a time.
        device: see :func:`score`.
        callback: called with images done and images in all.

    Raises:
        DataError: an empty set, or levels that the model does not have.
        ModelError: images of another shape than the model's.
        ConfigError: a device that is not there.
    """
    if not isinstance(data, ImageSet):
        raise DataError(f"evaluate takes an ImageSet, got {type(data).__name__}; see score")
    data = data.frozen() if limit is None else data.frozen().limit(limit)
    if len(data) == 0:
        raise DataError(f"{data.name} ({data.split}) holds no image")
    if data.levels != model.levels:
        raise ModelError(
            f"this model is for {model.levels} levels, {data.name} has {data.levels}",
            hint=f"load the data with {model.levels} levels",
        )
    nats = score(
        model,
        data.images,
        condition_of(model, data),
        batch_size=batch_size,
        device=device,
        callback=callback,
    )
    return Score(
        nats=float(nats.mean()),
        stderr=standard_error(nats),
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


def standard_error(nats: Tensor) -> float:
    """Standard error of the mean of scores ``(n,)``; NaN of fewer than two.

    Example:
        >>> standard_error(torch.tensor([1.0, 3.0], dtype=torch.float64))
        1.0
    """
    spread = float(nats.std(unbiased=True)) if len(nats) > 1 else math.nan
    return spread / math.sqrt(max(len(nats), 1))


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
    for image in (each.cpu().numpy() for each in images):
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
