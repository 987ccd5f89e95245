"""Drawing images, whole ones or the missing part of given ones."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pixelcnn import engines
from pixelcnn.config import check_integer
from pixelcnn.devices import Device, placed
from pixelcnn.drawing import (
    Job,
    Lot,
    check_memory,
    checked,
    in_batches,
    indices_of,
    job_of,
    lots_of,
    together,
)
from pixelcnn.known import known_pixels, misfit
from pixelcnn.model import PixelModel
from pixelcnn.sources import levels_of
from pixelcnn.surroundings import independent

__all__ = [
    "Progress",
    "batches",
    "complete",
    "completions",
    "sample",
    "stream",
]

Progress = Callable[[int, int, Tensor], None]
"""Called now and then with sub-pixels done, sub-pixels in all, and the current images ``(n, c, h, w)``.

After every front, or on the native and cuda engines every row. The images are a copy, of the result's type.
"""


@independent
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

    All are held in memory, see :func:`batches` for more.

    Args:
        model: of the images; it computes in evaluation mode.
        n: number of images.
        seed: of the uniform numbers.
        temperature: 1 for exact samples, lower for likelier ones, 0 for the likeliest level at each step.
        condition: a label, vector or map for a conditional model, one or n of them.
        engine: name of the engine, see :mod:`pixelcnn.engines`.
        first: index of the first image.
        batch_size: images drawn at a time.
        device: where a copy of the model computes (:func:`pixelcnn.devices.resolve_device`); None: in place.
        callback: see :data:`Progress`.

    Returns:
        Levels ``(n, c, h, w)`` on the CPU, uint8 up to 256 levels, else int32.

    Raises:
        ConfigError: an option out of range, a condition that does not fit, no such engine or device.
        ModelError: no model, or weights or probabilities that are not numbers.
        ResourceError: the images do not fit into memory.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> sample(model, 2, seed=1).shape
        torch.Size([2, 1, 5, 7])
    """
    n, batch_size = len(indices_of(n, first)), check_integer("batch_size", batch_size, 1, 2**31)
    check_memory(model, n, batch_size)
    drawn = batches(
        model, n, seed=seed, temperature=temperature, condition=condition, engine=engine, first=first,
        batch_size=batch_size, device=device, callback=callback,
    )  # fmt: skip
    return together(model, n, drawn)


@independent
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
    :func:`sample`; errors are raised at once, not with the first batch. The model keeps its weights until the
    last one: a batch of others is refused (:class:`~pixelcnn.errors.ModelError`).

    Yields:
        Levels ``(batch_size, c, h, w)``, of the last batch perhaps fewer, as :func:`sample` returns them.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> [len(images) for images in batches(model, 10, batch_size=4)]
        [4, 4, 2]
    """
    model, temperature = placed(model, device), checked(seed, temperature)
    indices = indices_of(n, first)
    condition = model.check_condition(condition, n)
    batch_size = check_integer("batch_size", batch_size, 1, 2**31)
    some = min(len(indices), batch_size)
    check_memory(model, some, some)

    def job(part: slice) -> Job:
        told = None if condition is None else condition[part]
        return job_of(model, None, indices[part], seed, temperature, told)

    return in_batches(model, engine, len(indices), job, batch_size, callback)


@independent
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

    All images are drawn together, in lots: on the native and cuda engines a row or a few, else a sub-pixel.
    So memory for all of them is needed; :func:`batches` needs it for some.

    Arguments are those of :func:`sample`.

    Yields:
        Positions ``(k, 3)`` as channel, row and column, int64, and their levels ``(n, k)``, uint8 up to 256
        levels, else int32, both on the CPU; each sub-pixel once, in coding order; of no images nothing.

    Raises:
        ConfigError, ModelError, ResourceError: see :func:`sample`; at once, not with the first lot.

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
    model, temperature = placed(model, device), checked(seed, temperature)
    n = len(indices := indices_of(n, first))
    condition = model.check_condition(condition, n)
    check_memory(model, n, n)
    job = job_of(model, None, indices, seed, temperature, condition)
    chosen = engines.choose(model, engine)
    if not indices:
        return iter(())
    lots = lots_of(model, chosen.start(n, condition, fresh=True), job)
    return ((positions, levels.to("cpu", model.image_dtype)) for positions, levels in lots)


@independent
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
    **options: Any,
) -> Tensor:
    """Draws the unknown part of images; known levels never change.

    A drawn level depends on the levels before it in coding order, known or drawn. Known levels that come
    later are kept, but do not influence it: exact for a known top, an approximation for other masks. All
    images are held in memory, see :func:`completions` for more.

    Args:
        model: the model.
        images: integer levels ``(m, c, h, w)``, or any other source of images, see :func:`pixelcnn.score`;
            unknown levels in an array are ignored.
        known: ``top``, ``left``, a picture (or its path) whose white part is known, or an array (or ``.npy``
            file): bool ``(m or 1, c or 1, h, w)``, or ``(h, w)`` for all, of one channel also ``(m, h, w)``.
        n: completions of each image; completion k of image j draws from stream ``j * 2**32 + k``.
        seed: of the uniform numbers.
        temperature: see :func:`sample`.
        condition: for each of the m images, or one for all; by default what the source says of each.
        engine: see :func:`sample`.
        batch_size: images drawn at a time.
        device: see :func:`sample`.
        callback: see :data:`Progress`.
        **options: of :class:`pixelcnn.data.Options`, for data that are to be read otherwise than in training.

    Returns:
        Levels ``(m * n, c, h, w)`` on the CPU, the n completions of the first image first.

    Raises:
        DataError: images or a mask that do not fit the model.
        ConfigError, ModelError, ResourceError: see :func:`sample`.
    """
    given, condition, _ = levels_of(model, images, condition, options)
    total = len(given) * check_integer("n", n, 1, 2**31)
    check_memory(model, total, check_integer("batch_size", batch_size, 1, 2**31))
    drawn = completions(
        model, given, known, n=n, seed=seed, temperature=temperature, condition=condition,
        engine=engine, batch_size=batch_size, device=device, callback=callback,
    )  # fmt: skip
    return together(model, total, drawn)


@independent
def completions(
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
    **options: Any,
) -> Iterator[Tensor]:
    """Draws the completions that :func:`complete` draws, and gives each batch as it is drawn.

    Beside the images, memory for one batch is enough. Arguments and errors are those of :func:`complete`;
    errors are raised at once.

    Yields:
        Levels ``(batch_size, c, h, w)``, of the last batch perhaps fewer.
    """
    n = check_integer("n", n, 1, 2**31)
    batch_size = check_integer("batch_size", batch_size, 1, 2**31)
    model, temperature = placed(model, device), checked(seed, temperature)
    mask = known_pixels(known, model.shape).clone()  # which may change between batches
    given, condition, _ = levels_of(model, images, condition, options)
    model.shape.require(given.shape)  # a mask would spread what is too small over the image
    given, total = given.cpu(), len(given) * n
    some = min(total, batch_size)
    check_memory(model, some, some)
    try:
        mask = mask.expand(len(given), *model.shape)
        given = torch.where(mask, given, torch.zeros_like(given))
    except RuntimeError as error:
        raise misfit(mask, given.shape) from error
    given = model.check(given).to("cpu", model.image_dtype)
    condition = model.check_condition(condition, len(given))

    def job(part: slice) -> Job:
        numbers = torch.arange(part.start, part.stop)
        rows, indices = numbers // n, (numbers // n * 2**32 + numbers % n).tolist()
        pair = given[rows].long(), mask[rows]
        told = None if condition is None else condition[rows.to(condition.device)]
        return job_of(model, pair, indices, seed, temperature, told)

    return in_batches(model, engine, total, job, batch_size, callback)
