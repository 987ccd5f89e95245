"""``compress`` and ``decompress``: images as bytes that cost what a model says, and the same images again."""

import io
from collections.abc import Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.archive import Callback, Input, entry_of, pack, unpack
from pixelcnn.codec.container import Reader
from pixelcnn.codec.entries import ARRAY, LIST, TYPES, Form
from pixelcnn.codec.numbers import Damaged
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.opening import named
from pixelcnn.data.tensors import as_tensor, dense, remedy
from pixelcnn.devices import require_model
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.memory import afford
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape, image_shape, unflattened
from pixelcnn.sources import levels_of
from pixelcnn.surroundings import independent

LEVELS = (
    "pixelcnn.data.load_all makes a set of levels of anything else; `pixelcnn compress` packs files"
)


@independent
def compress(
    model: PixelModel,
    images: Any,
    condition: Any = None,
    *,
    verify: bool = True,
    callback: Callback | None = None,
) -> bytes:
    """Images in about as many bits as the model's negative log-likelihood says, as bytes of a ``.pxc`` file.

    The bytes depend on the model and the images alone: not on the machine, the number of threads or the
    engine. Images that the model would make larger are stored as they are; large ones are split into tiles,
    see :mod:`pixelcnn.codec.tiles`.

    Args:
        model: with ranges in its record, see :func:`pixelcnn.calibrate`.
        images: an array or tensor ``(n, c, h, w)`` of integer levels, which may be mapped to a file; a set,
            whose levels come back as an array; or a list of images ``(c, h, w)`` of any sizes.
        condition: labels of a class-conditional model; by default those of a set.
        verify: decode all of it again, and compare.
        callback: called with images, or tiles of images, done and in all.

    Raises:
        DataError: not integers, or out of the model's range.
        ModelError: images of other channels than the model's; a model without ranges or an integer form.

    Example:
        >>> from pixelcnn import calibrate, networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> images = np.zeros((3, 1, 5, 7), np.uint8)
        >>> _ = calibrate(model, images)
        >>> bool((decompress(model, compress(model, images)) == images).all())
        True
    """
    require_model(model)
    if isinstance(images, ImageSet):
        images, condition, _ = levels_of(model, images, condition)
    is_list = isinstance(images, Sequence) and not isinstance(images, str | bytes)
    arrays = [_four_axes(each) for each in (images if is_list else [images])]
    labels = _labels(model, condition, sum(map(len, arrays)))
    inputs, done = [], 0
    for (shape, number), some in groupby(arrays, _kind):
        parts = list(some)
        count = sum(map(len, parts))
        form = Form(LIST if is_list else ARRAY, number)
        entry = entry_of(model, form, shape, count, labels[done : done + count])
        inputs.append(Input(entry, partial(_some, parts)))
        done += count
    return b"".join(pack(model, inputs, verify=verify, callback=callback))


@independent
def decompress(
    model: PixelModel, data: bytes, *, callback: Callback | None = None
) -> np.ndarray | list[np.ndarray]:
    """The images of a ``.pxc`` file, of the type that was compressed.

    Args:
        model: the one that compressed them.
        data: the bytes.
        callback: as for :func:`compress`.

    Returns:
        An array for an array; else, of files as well, a list of images ``(c, h, w)``.

    Raises:
        DataError: damaged, or no such file.
        ModelError: compressed with another model.
        ResourceError: the images do not fit into memory.
        ConfigError: no bytes; a file is read first.
    """
    require_model(model)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ConfigError(
            f"data must be bytes, got {type(data).__name__}", hint="pathlib.Path(name).read_bytes()"
        )
    try:
        return _unpacked(model, Reader(io.BytesIO(data)), callback)
    except Damaged as error:
        raise Damaged(f"the data {error}") from error


def _unpacked(
    model: PixelModel, reader: Reader, callback: Callback | None
) -> np.ndarray | list[np.ndarray]:
    parts = unpack(model, reader, callback)
    first = next(parts, None)
    if first is None:
        return []
    entries, entry = reader.entries, first[0]
    # All checksums are right by now.
    size = sum(e.count * e.size.shape.dimensions * e.form.dtype.itemsize for e in entries)
    instead = "'pixelcnn decompress' writes them to files, one after the other"
    afford(size, "the images need", instead)
    restored = (each.form.restored(levels) for each, levels in chain([first], parts))
    if len(entries) > 1 or entry.form.kind != ARRAY:
        return list(chain.from_iterable(restored))
    whole, done = np.empty((entry.count, *entry.size.shape), entry.form.dtype), 0
    for some in restored:
        whole[done : done + len(some)] = some
        done += len(some)
    return whole


def _four_axes(images: Any) -> Any:
    """Images ``(n, c, h, w)`` that are not copied; a single one may lack the first axis."""
    try:
        values = images if hasattr(images, "dtype") else np.asarray(images)
    except ValueError as error:
        raise DataError("images are integer levels (n, c, h, w)", hint=LEVELS) from error
    if isinstance(values, Tensor):
        with named("the tensor"):
            dense(values)
    values = values[None] if values.ndim == 3 else values
    if values.ndim != 4:
        got = f"{type(images).__name__} of shape {tuple(values.shape)}"
        hint = unflattened(values.shape) or LEVELS
        raise ModelError(f"images are arrays (n, c, h, w), got {got}", hint=hint)
    return values


def _kind(images: Any) -> tuple[ImageShape, int]:
    """Shape of each image, and number of the type."""
    try:
        name = np.dtype(str(images.dtype).removeprefix("torch.")).str
    except TypeError:  # of PyTorch alone
        name = ""
    if name not in TYPES:
        raise DataError(
            f"images are integer levels, got {images.dtype}", hint=remedy(images.dtype) or LEVELS
        )
    return image_shape(tuple(images.shape[1:])), TYPES.index(name)


def _some(parts: Sequence[Any], start: int, stop: int) -> Tensor:
    """Images of several arrays, from one on and up to another."""
    found = []
    for part in parts:
        if start < len(part) and stop > 0:
            some = part[max(start, 0) : stop]
            found.append(as_tensor(some).to("cpu", torch.int64))
        start, stop = start - len(part), stop - len(part)
    return torch.cat(found)


def _labels(model: PixelModel, condition: Any, n: int) -> list[int]:
    given = model.check_condition(condition, n)
    if given is not None and model.network.condition != "label":
        raise ModelError(f"a model with a {model.network.condition} condition has no integer form")
    return [] if given is None else list(given.tolist())
