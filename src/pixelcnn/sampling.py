"""Drawing images, whole ones or the missing part of given ones."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn import engines, streams
from pixelcnn.config import check_integer
from pixelcnn.devices import Device, exact_convolutions, float64_device, placed
from pixelcnn.engines.native import NativeEngine
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape
from pixelcnn.walk import Front, drive, walk

Progress = Callable[[int, int, Tensor], None]
"""Called now and then with sub-pixels done, sub-pixels in all, and the current images ``(n, c, h, w)``.

After every front, or after every row on the native engine.
"""


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


def temper(pmf: Tensor, temperature: float) -> Tensor:
    """Probabilities proportional to ``p ** (1 / temperature)``; temperature 0 leaves the likeliest level.

    Example:
        >>> temper(torch.tensor([0.2, 0.8]), 0.5)
        tensor([0.0588, 0.9412])
    """
    if temperature == 1:
        return pmf
    if temperature == 0:
        return torch.zeros_like(pmf).scatter(-1, pmf.argmax(-1, keepdim=True), 1.0)
    return torch.softmax(pmf.log() / temperature, -1)


def invert(pmf: Tensor, u: Tensor) -> Tensor:
    """The level that a uniform number selects: how many k have ``cdf_k <= u``, the last cdf counting as 1.

    Args:
        pmf: float64 ``(..., levels)``.
        u: float64 ``(...)``.

    Returns:
        int64 ``(...)``.

    Example:
        >>> invert(torch.tensor([[0.25, 0.5, 0.25]] * 3), torch.tensor([0.2, 0.25, 0.9]))
        tensor([0, 1, 2])
    """
    cdf = pmf.cumsum(-1)[..., :-1]
    return (cdf <= u[..., None]).sum(-1)


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

    Example:
        >>> from pixelcnn import networks, outputs
        >>> network = networks.PixelCNN(channels=1, out=1, width=8, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), shape=(1, 5, 7))
        >>> sample(model, 2, seed=1).shape
        torch.Size([2, 1, 5, 7])
    """
    check_integer("n", n, 0, 2**31)
    model = placed(model, device)
    nothing = torch.zeros(n, *model.shape, dtype=torch.int64)
    unknown = torch.zeros_like(nothing, dtype=torch.bool)
    indices = range(first, first + n)
    return _fill(
        model, nothing, unknown, indices, seed, temperature, condition, engine, batch_size, callback
    )


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
    check_integer("n", n, 1, 2**31)
    model = placed(model, device)
    mask = torch.as_tensor(known).cpu()
    given = torch.as_tensor(images).cpu()
    if mask.dtype != torch.bool:
        raise DataError(f"known must be a bool mask, got {str(mask.dtype).removeprefix('torch.')}")
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
    given, mask = given.repeat_interleave(n, 0), mask.repeat_interleave(n, 0)
    return _fill(
        model, given, mask, indices, seed, temperature, condition, engine, batch_size, callback
    )


def _fill(
    model: PixelModel,
    given: Tensor,
    known: Tensor,
    indices: Sequence[int],
    seed: int,
    temperature: float,
    condition: Any,
    engine: str,
    batch_size: int,
    callback: Progress | None,
) -> Tensor:
    """Draws where ``known`` is False, a batch at a time."""
    if not temperature >= 0:
        raise ConfigError(f"temperature must be at least 0, got {temperature}")
    check_integer("batch_size", batch_size, 1, 2**31)
    condition = model.check_condition(condition, len(given))
    images = torch.empty(given.shape, dtype=model.image_dtype)
    engine = engines.choose(model, engine).name
    draw = _draw_natively if engine.startswith("native") else _draw
    starts = range(0, len(given), batch_size)
    for number, start in enumerate(starts):
        part = slice(start, start + batch_size)
        job = Job(
            given[part],
            known[part],
            uniforms(seed, indices[part], model.shape),
            temperature,
            None if condition is None else condition[part],
            engine,
            None
            if callback is None
            else _offset(callback, number, len(starts), model.shape.dimensions),
        )
        with exact_convolutions(model.device):
            images[part] = draw(model, job)
    return images


class Job(NamedTuple):
    """A batch of images to be filled; see :func:`_fill`."""

    given: Tensor
    known: Tensor
    uniforms: Tensor
    temperature: float
    condition: Tensor | None
    engine: str
    callback: Callable[[int, Tensor], None] | None


def _offset(
    callback: Progress, batch: int, batches: int, dimensions: int
) -> Callable[[int, Tensor], None]:
    """Progress of all batches from that of one."""
    return lambda done, images: callback(batch * dimensions + done, batches * dimensions, images)


def _draw(model: PixelModel, job: Job) -> Tensor:
    """Answers the walk; the specification of :func:`_draw_natively`."""
    exact = float64_device(model.device)
    given, known, u = (tensor.to(exact) for tensor in (job.given, job.known, job.uniforms))
    images = job.given.clone()
    some_known = bool(known.any())
    done = 0

    def choose(front: Front) -> Tensor:
        drawn = invert(temper(front.pmf, job.temperature), front.of(u))
        return torch.where(front.of(known), front.of(given), drawn) if some_known else drawn

    def report(front: Front, levels: Tensor) -> None:
        nonlocal done
        channel, row, column = front.positions.T
        images[:, channel, row, column] = levels.cpu()
        done += len(front.positions)
        assert job.callback is not None
        job.callback(done, images)

    steps = walk(model, len(given), job.condition, job.engine)
    return drive(steps, choose, report if job.callback else None).cpu()


def _draw_natively(model: PixelModel, job: Job) -> Tensor:
    """The same walk, answered without a return to Python; reports progress after every row."""
    source = engines.start(model, len(job.given), job.condition, job.engine)
    assert isinstance(source, NativeEngine)
    row = model.shape.width * model.shape.channels
    callback = job.callback
    report = None if callback is None else (lambda rows, images: callback(rows * row, images))
    return source.fill(job.given, job.known, job.uniforms, job.temperature, report)
