"""Drawing images, whole ones or the missing part of given ones."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn import engines
from pixelcnn.config import check_integer
from pixelcnn.data.tensors import numbers_of
from pixelcnn.devices import Device, placed
from pixelcnn.drawing import Lot, in_batches, job_of, lots_of, uniforms
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.extent import require
from pixelcnn.inversion import invert, temper
from pixelcnn.model import PixelModel

__all__ = [
    "Progress",
    "batches",
    "check_memory",
    "complete",
    "invert",
    "sample",
    "stream",
    "temper",
    "uniforms",
]

Progress = Callable[[int, int, Tensor], None]
"""Called now and then with sub-pixels done, sub-pixels in all, and the current images ``(n, c, h, w)``.

After every front, or after every row on the native engine.
"""

BYTES_OF_A_JOB = 33
"""For each sub-pixel of a batch: random words, uniforms, levels before and after, and whether it is known."""

COLDEST = 1e-300
"""Lower temperatures are 0."""


def sample(
    model: PixelModel,
    n: int = 16,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    condition: Any = None,
    engine: str = "auto",
    first: int = 0,
    batch_size: int = 64,
    device: Device | None = None,
    callback: Progress | None = None,
) -> Tensor:
    """Draws images: image i of a seed is the same for any count, batch size or order.

    All are held in memory, see :func:`batches` for more. A process that was forked after PyTorch had computed
    waits for ever for the threads that it lacks: spawn it.

    Args:
        model: computes in evaluation mode, whatever mode it is in.
        n: number of images.
        seed: of the uniform numbers.
        temperature: 1 for exact samples, lower for likelier ones, 0 for the likeliest level at each step.
        condition: a label, vector or map for a conditional model, one or n of them.
        engine: name of the engine, see :mod:`pixelcnn.engines`.
        first: index of the first image.
        batch_size: images drawn at a time.
        device: where to compute, see :func:`pixelcnn.devices.resolve_device`; None for where the model is.
            Elsewhere a copy of the model computes, made anew by each call.
        callback: see :data:`Progress`.

    Returns:
        Levels ``(n, c, h, w)`` on the CPU, uint8 up to 256 levels, else int32.

    Raises:
        ConfigError: an option out of range, or a condition that does not fit.
        ResourceError: the images do not fit into memory.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> sample(model, 2, seed=1).shape
        torch.Size([2, 1, 5, 7])
    """
    n, batch_size = len(_indices(n, first)), check_integer("batch_size", batch_size, 1, 2**31)
    check_memory(model, n, batch_size)
    drawn = batches(
        model, n, seed=seed, temperature=temperature, condition=condition, engine=engine, first=first,
        batch_size=batch_size, device=device, callback=callback,
    )  # fmt: skip
    return _together(model, n, drawn)


def batches(
    model: PixelModel,
    n: int = 16,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    condition: Any = None,
    engine: str = "auto",
    first: int = 0,
    batch_size: int = 64,
    device: Device | None = None,
    callback: Progress | None = None,
) -> Iterator[Tensor]:
    """Draws the images that :func:`sample` draws, and gives each batch as it is drawn.

    Memory for one batch is enough for any number of images. Arguments and errors are those of
    :func:`sample`; errors are raised at once, not with the first batch.

    Yields:
        Levels ``(batch_size, c, h, w)``, of the last batch perhaps fewer, as :func:`sample` returns them.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> [len(images) for images in batches(model, 10, batch_size=4)]
        [4, 4, 2]
    """
    model, temperature, indices = placed(model, device), _checked(temperature), _indices(n, first)
    condition = model.check_condition(condition, n)
    batch_size = check_integer("batch_size", batch_size, 1, 2**31)
    together = min(len(indices), batch_size)
    check_memory(model, together, together)
    return in_batches(
        model, engine, None, indices, seed, temperature, condition, batch_size, callback
    )


def stream(
    model: PixelModel,
    n: int = 16,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    condition: Any = None,
    engine: str = "auto",
    first: int = 0,
    device: Device | None = None,
) -> Iterator[Lot]:
    """Draws the images that :func:`sample` draws, and gives their levels as they are drawn.

    All images are drawn together, in lots: a row or a few at a time on the native engine, else a sub-pixel.
    So memory for all of them is needed; :func:`batches` needs it for some.

    Args:
        model: see :func:`sample`, as for all arguments.
        n: number of images.
        seed: of the uniform numbers.
        temperature: 1 for exact samples.
        condition: a label, vector or map for a conditional model.
        engine: name of the engine.
        first: index of the first image.
        device: where to compute.

    Yields:
        Positions ``(k, 3)`` as channel, row and column, int64, and their levels ``(n, k)``, uint8 up to 256
        levels, else int32, both on the CPU; each sub-pixel once, in coding order.

    Raises:
        ConfigError, ModelError: see :func:`sample`; at once, not with the first lot.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> images = torch.zeros(2, 1, 5, 7, dtype=torch.uint8)
        >>> for positions, levels in stream(model, 2, seed=1):
        ...     channel, row, column = positions.T
        ...     images[:, channel, row, column] = levels
        >>> torch.equal(images, sample(model, 2, seed=1))
        True
    """
    model, temperature, indices = placed(model, device), _checked(temperature), _indices(n, first)
    condition = model.check_condition(condition, n)
    check_memory(model, n, n)
    job = job_of(model, None, indices, seed, temperature, condition)
    chosen = engines.choose(model, engine)
    lots = lots_of(model, chosen.start(n, condition), job)
    return ((positions, levels.to("cpu", model.image_dtype)) for positions, levels in lots)


def _indices(n: int, first: int) -> range:
    """Indices of n images, of which each has a stream of its own."""
    n = check_integer("n", n, 0, 2**31)
    first = check_integer("first", first, 0, 2**63 - n)
    return range(first, first + n)


def _checked(temperature: float) -> float:
    """A temperature that can be drawn at; so low a one that its logarithms overflow is 0."""
    if isinstance(temperature, np.generic):
        temperature = temperature.item()
    number = isinstance(temperature, float | int) and math.isfinite(temperature)
    if not number or temperature < 0:
        raise ConfigError(f"temperature must be a finite number of at least 0, got {temperature!r}")
    return 0.0 if temperature < COLDEST else float(temperature)


def complete(
    model: PixelModel,
    images: Any,
    known: Any,
    *,
    n: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    condition: Any = None,
    engine: str = "auto",
    batch_size: int = 64,
    device: Device | None = None,
    callback: Progress | None = None,
) -> Tensor:
    """Draws the unknown part of images; known levels never change.

    A drawn level depends on the levels before it in coding order, known or drawn. Known levels that come
    later are kept, but do not influence it: exact for a known top, an approximation for other masks.

    Args:
        model: the model.
        images: integer levels ``(m, c, h, w)``; their unknown levels are ignored.
        known: bool ``(m or 1, c or 1, h, w)``.
        n: completions of each image; completion k of image j draws from stream ``j * 2**32 + k``.
        seed: of the uniform numbers.
        temperature: see :func:`sample`.
        condition: for each of the m images, or one for all.
        engine: see :func:`sample`.
        batch_size: images drawn at a time.
        device: see :func:`sample`.
        callback: see :data:`Progress`.

    Returns:
        Levels ``(m * n, c, h, w)`` on the CPU, the n completions of the first image first.

    Raises:
        DataError, ModelError: images or a mask that do not fit the model.
        ConfigError: an option out of range.
    """
    n = check_integer("n", n, 1, 2**31)
    batch_size = check_integer("batch_size", batch_size, 1, 2**31)
    model, temperature = placed(model, device), _checked(temperature)
    mask = numbers_of(known, "known must be a bool mask").cpu()
    given = numbers_of(images, "images are integer levels (n, c, h, w)").cpu()
    if mask.dtype != torch.bool:
        raise DataError(f"known must be a bool mask, got {str(mask.dtype).removeprefix('torch.')}")
    check_memory(model, len(given) * n, batch_size)
    try:
        mask = mask.expand(len(given), *model.shape)
        given = torch.where(mask, given, torch.zeros_like(given))
    except RuntimeError as error:
        raise DataError(
            f"a mask of shape {tuple(mask.shape)} does not fit images {tuple(given.shape)}",
            hint="known is (n or 1, channels or 1, height, width)",
        ) from error
    given = model.check(given).cpu()
    condition = model.check_condition(condition, len(given))
    if condition is not None:
        condition = condition.repeat_interleave(n, 0)
    indices = [j * 2**32 + k for j in range(len(given)) for k in range(n)]
    pair = given.repeat_interleave(n, 0), mask.repeat_interleave(n, 0)
    drawn = in_batches(
        model, engine, pair, indices, seed, temperature, condition, batch_size, callback
    )
    return _together(model, len(indices), drawn)


def _together(model: PixelModel, n: int, drawn: Iterator[Tensor]) -> Tensor:
    """One tensor of all batches."""
    images, done = torch.empty((n, *model.shape), dtype=model.image_dtype), 0
    for batch in drawn:
        images[done : done + len(batch)] = batch
        done += len(batch)
    return images


def check_memory(model: PixelModel, n: int, together: int) -> None:
    """Whether images, and what they are drawn from, fit into memory.

    Args:
        model: of the images.
        n: images in all.
        together: drawn at a time.

    Raises:
        ResourceError: they do not; it says what they need.
    """
    each = n * model.image_dtype.itemsize + min(n, together) * BYTES_OF_A_JOB
    remedy = "fewer images, or a smaller batch_size, need less"
    require(each * model.shape.dimensions, f"{n} images of {model.shape}", remedy)
