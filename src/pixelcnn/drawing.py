"""Drawing levels from probabilities with given uniform numbers, whoever they are drawn for."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.devices import float64_device
from pixelcnn.engines import Drawer, Walker
from pixelcnn.inversion import invert, temper
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape
from pixelcnn.walk import visit

Lot = tuple[Tensor, Tensor]
"""Positions ``(k, 3)`` and their levels ``(n, k)``."""


def uniforms(seed: int, indices: Sequence[int], shape: ImageShape) -> Tensor:
    """Uniform numbers in [0, 1) that depend on (seed, image index, sub-pixel) alone.

    Sub-pixel (c, row, column) takes the 64-bit word ``(row * width + column) * channels + c`` of the
    image's stream (:mod:`pixelcnn.streams`), and ``u = (word >> 11) * 2**-53``.

    Args:
        seed: in [0, 2**64).
        indices: image indices in [0, 2**63).
        shape: of an image.

    Returns:
        float64 ``(len(indices), c, h, w)``.

    Raises:
        ConfigError: a seed or an index out of range.

    Example:
        >>> few, many = uniforms(0, [3], ImageShape(1, 2, 2)), uniforms(0, range(5), ImageShape(1, 2, 2))
        >>> torch.equal(few[0], many[3])
        True
    """
    channels, height, width = shape
    words = np.empty((len(indices), height, width, channels), dtype=np.uint64)
    for i, index in enumerate(indices):
        words[i] = streams.sample(seed, index).words(shape.dimensions).reshape(words.shape[1:])
    return torch.from_numpy((words >> np.uint64(11)) * 2.0**-53).permute(0, 3, 1, 2)


class Job(NamedTuple):
    """Images to be filled where they are not known.

    Attributes:
        given: levels, int64 ``(n, c, h, w)``.
        known: which of them stay, bool, the same shape.
        uniforms: float64, the same shape.
        temperature: see :func:`pixelcnn.inversion.temper`.
        condition: of the images, checked by the model.
    """

    given: Tensor
    known: Tensor
    uniforms: Tensor
    temperature: float
    condition: Tensor | None


def job_of(
    model: PixelModel,
    images: tuple[Tensor, Tensor] | None,
    indices: Sequence[int],
    seed: int,
    temperature: float,
    condition: Tensor | None,
) -> Job:
    """The drawing of some images; ``images`` are levels and which of them are known, None if none is."""
    u = uniforms(seed, indices, model.shape)
    if images is None:
        images = torch.zeros_like(u, dtype=torch.int64), torch.zeros_like(u, dtype=torch.bool)
    return Job(*images, u, temperature, condition)


def lots_of(model: PixelModel, walker: Walker, job: Job) -> Iterator[Lot]:
    """Positions ``(k, 3)`` and their levels ``(n, k)``, as a walker draws them."""
    if isinstance(walker, Drawer):
        yield from _rows(model.shape, walker, job)
        return
    exact = float64_device(model.device)
    given, known, u = (tensor.to(exact) for tensor in (job.given, job.known, job.uniforms))
    steps, some_known = visit(model, len(given), walker), bool(known.any())
    with contextlib.suppress(StopIteration):
        front = next(steps)
        while True:
            levels = invert(temper(front.pmf, job.temperature), front.of(u))
            if some_known:
                levels = torch.where(front.of(known), front.of(given), levels)
            yield front.positions, levels
            front = steps.send(levels)


def _rows(shape: ImageShape, walker: Drawer, job: Job) -> Iterator[Lot]:
    """Of a walker that draws whole rows: in coding order, the channels of a pixel side by side."""
    columns, channels, before = torch.arange(shape.width), torch.arange(shape.channels), 0
    for done, images in walker.rows(*job[:4]):
        row, column, channel = torch.cartesian_prod(torch.arange(before, done), columns, channels).T
        yield torch.stack([channel, row, column], 1), images[:, channel, row, column]
        before = done
