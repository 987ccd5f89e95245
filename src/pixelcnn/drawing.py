"""Batches of images that are drawn, whole or in part, and the uniform numbers that they are drawn with."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn import engines, streams
from pixelcnn.annotations import shown
from pixelcnn.config import check_integer
from pixelcnn.devices import exact_convolutions, float64_device, require_model
from pixelcnn.engines import Drawer, Walker
from pixelcnn.errors import ConfigError
from pixelcnn.inversion import invert, temper
from pixelcnn.memory import afford
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape
from pixelcnn.text import counted
from pixelcnn.walk import visit

COLDEST = 1e-300
"""Lower temperatures are 0."""

BYTES_OF_A_JOB = 33
"""For each sub-pixel of a batch: random words, uniforms, levels before and after, and whether it is known."""

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


def indices_of(n: int, first: int) -> range:
    """Indices of n images, of which each has a stream of its own."""
    n = check_integer("n", n, 0, 2**31)
    first = check_integer("first", first, 0, 2**63 - n)
    return range(first, first + n)


def checked(seed: int, temperature: float) -> float:
    """A temperature that can be drawn at; so low a one that its logarithms overflow is 0.

    Raises:
        ConfigError: it, or the seed, is none.
    """
    streams.sample(seed, 0)
    if isinstance(temperature, np.generic):
        temperature = temperature.item()
    number = isinstance(temperature, float | int) and not isinstance(temperature, bool)
    if not number or not math.isfinite(temperature) or temperature < 0:
        raise ConfigError(
            f"temperature must be a finite number of at least 0, got {shown(temperature)}"
        )
    return 0.0 if temperature < COLDEST else float(temperature)


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


def in_batches(
    model: PixelModel,
    engine: str,
    n: int,
    job: Callable[[slice], Job],
    batch_size: int,
    callback: Callable[[int, int, Tensor], None] | None,
) -> Iterator[Tensor]:
    """Images, a batch at a time as they are asked for.

    Args:
        model: of the images.
        engine: its name; the engine is chosen at once.
        n: images in all.
        job: of those from one number to before another.
        batch_size: images at a time.
        callback: see :data:`pixelcnn.sampling.Progress`.
    """
    chosen, starts = engines.choose(model, engine), range(0, n, batch_size)
    dimensions = model.shape.dimensions

    def batch(number: int, start: int) -> Tensor:
        def report(done: int, now: Tensor) -> None:
            assert callback is not None
            # A copy: the images grow on whatever a callback does to them, and one may keep each of them.
            callback(
                number * dimensions + done,
                len(starts) * dimensions,
                now.to(model.image_dtype, copy=True),
            )

        some = job(slice(start, min(start + batch_size, n)))
        with exact_convolutions(model.device):
            walker = chosen.start(len(some.given), some.condition)
            drawn = _draw(chosen.model, walker, some, report if callback else None)
            return drawn.to(model.image_dtype)

    return (batch(number, start) for number, start in enumerate(starts))


def _draw(
    model: PixelModel, walker: Walker, job: Job, report: Callable[[int, Tensor], None] | None
) -> Tensor:
    """The images of a job; reports sub-pixels done and the images so far."""
    if isinstance(walker, Drawer) and report is None:
        return walker.fill(*job[:4])
    images, done = job.given.clone(), 0
    for positions, levels in lots_of(model, walker, job):
        channel, row, column = positions.T
        images[:, channel, row, column] = levels.cpu()
        done += len(positions)
        if report is not None:
            report(done, images)
    return images


def together(model: PixelModel, n: int, drawn: Iterator[Tensor]) -> Tensor:
    """One tensor of all batches."""
    images, done = torch.empty((n, *model.shape), dtype=model.image_dtype), 0
    for batch in drawn:
        images[done : done + len(batch)] = batch
        done += len(batch)
    return images


def check_memory(model: PixelModel, n: int, at_once: int) -> None:
    """Whether images, and what they are drawn from, fit into memory.

    Args:
        model: of the images.
        n: images in all.
        at_once: drawn at a time.

    Raises:
        ResourceError: they do not; it says what they need.
    """
    require_model(model)
    each = n * model.image_dtype.itemsize + min(n, at_once) * BYTES_OF_A_JOB
    remedy = "fewer images, or a smaller batch_size, need less"
    afford(each * model.shape.dimensions, f"{counted(n, 'image')} of {model.shape} need", remedy)
