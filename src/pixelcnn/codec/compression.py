"""``compress`` and ``decompress``: images as bytes that cost what a model says, and the same images again."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from pixelcnn.codec import container
from pixelcnn.codec.calibration import ranges
from pixelcnn.codec.coding import Integers, decode, encode
from pixelcnn.codec.container import CODED, STORED, TYPES, VERSION, Block, Content
from pixelcnn.codec.fixed import Precision
from pixelcnn.codec.twin import Twin
from pixelcnn.config import to_config
from pixelcnn.data.tensors import as_tensor
from pixelcnn.engines.programs import program_of
from pixelcnn.errors import DataError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.outputs import OUTPUTS
from pixelcnn.program import Program, Unlowerable
from pixelcnn.shapes import ImageShape, image_shape

RANGES = "activation_ranges"
"""Key of a model's record that holds the largest values of its program's nodes."""
PRECISION = Precision()
CALIBRATION = 64
"""Images that calibration looks at, at most."""

Callback = Callable[[int, int], None]
_twins: WeakKeyDictionary[Program, dict[object, tuple[Twin, bytes]]] = WeakKeyDictionary()


def calibrate(model: PixelModel, images: Any, condition: Any = None) -> None:
    """Measures what a model's integer twin needs to know, and keeps it in the model's record.

    Training does so with validation images; this is for models that were trained before, or elsewhere.

    Args:
        model: its record gets a key ``activation_ranges``.
        images: some integer levels ``(n, c, h, w)`` like those that are to be compressed; 64 of them, evenly
            spread, are looked at.
        condition: see :meth:`PixelModel.check_condition`.

    Raises:
        ModelError: the model has no integer form; the message says why.
    """
    images = model.check(images)
    if not len(images):
        raise DataError("calibration needs at least one image")
    given = model.check_condition(condition, len(images))
    some = (
        torch.arange(min(len(images), CALIBRATION)) * len(images) // min(len(images), CALIBRATION)
    )
    with _integer_form():
        found = ranges(model, images[some], None if given is None else given[some])
    model.record[RANGES] = found


def compress(
    model: PixelModel, images: Any, condition: Any = None, *, callback: Callback | None = None
) -> bytes:
    """Images in about as many bits as the model's negative log-likelihood says, as bytes of a ``.pxc`` file.

    The bytes depend on the model and the images alone: not on the machine, the number of threads or the
    engine. Images that the model would make larger are stored as they are.

    Args:
        model: with ranges in its record, see :func:`calibrate`.
        images: an array or tensor ``(n, c, h, w)`` of integer levels; or a list of images ``(c, h, w)``,
            whose sizes may differ where the network has no fixed one.
        condition: labels of a class-conditional model.
        callback: called with images done and images in all.

    Raises:
        DataError: not integers, or out of the model's range.
        ModelError: images that do not fit the model; a model without ranges or an integer form.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
        >>> images = np.zeros((3, 1, 5, 7), np.uint8)
        >>> calibrate(model, images)
        >>> bool((decompress(model, compress(model, images)) == images).all())
        True
    """
    is_list = isinstance(images, Sequence)
    arrays = [_levels(model, one) for one in (images if is_list else [images])]
    dtype = _type_of(images[0] if is_list and len(images) else images)
    total = len(arrays) if is_list else len(arrays[0])
    labels = _labels(model, condition, total)
    groups, blocks = [], []
    done = 0
    for shape, some in _grouped(arrays):
        groups.append((shape, len(some)))
        integers, _ = _integers(model, shape)
        for size in container.sizes(len(some)):
            given = None if labels is None else labels[done : done + size]
            blocks.append(_block(integers, some[:size], given))
            some, done = some[size:], done + size
            if callback is not None:
                callback(done, total)
    shape = groups[0][0] if groups else model.shape
    _, fingerprint = _integers(model, shape)
    content = Content(
        fingerprint=fingerprint,
        dtype=dtype,
        is_list=is_list,
        groups=tuple(groups),
        labels=() if labels is None else tuple(labels.tolist()),
        blocks=tuple(blocks),
        digest=container.digest([array.numpy() for array in arrays]),
    )
    return container.write(content)


def decompress(
    model: PixelModel, data: bytes, *, callback: Callback | None = None
) -> np.ndarray | list[np.ndarray]:
    """The images of a ``.pxc`` file, of the type that was compressed: an array, or a list of images.

    Args:
        model: the one that compressed them.
        data: the bytes.
        callback: called with images done and images in all.

    Raises:
        DataError: damaged, or no such file.
        ModelError: compressed with another model.
    """
    content = container.read(data)
    _, fingerprint = _integers(model, model.shape)
    if content.fingerprint != fingerprint:
        raise ModelError(
            f"compressed with the model {content.fingerprint.hex()}, this one is {fingerprint.hex()}",
            hint="take the model file that compressed it",
        )
    labels = torch.tensor(content.labels) if content.labels else None
    if (labels is not None) != (model.network.condition is not None):
        raise container.Damaged("is damaged: labels for a model without, or none for one with")
    found: list[Tensor] = []
    done = 0
    for shape, count, block in content.parts():
        given = None if labels is None else labels[done : done + count]
        found.append(_decoded(model, shape, count, block, given))
        done += count
        if callback is not None:
            callback(done, content.images)
    kind = np.dtype(TYPES[content.dtype])
    arrays = [some.numpy() for some in found]
    if container.digest(arrays) != content.digest:
        raise container.Damaged("is damaged: the decoded pixels are others")
    if content.is_list:
        return [one.astype(kind) for some in arrays for one in some]
    if not arrays:
        return np.zeros((0, *model.shape), kind)
    return np.concatenate(arrays).astype(kind)


def _block(model: Integers, levels: Tensor, labels: Tensor | None) -> Block:
    """Images coded, or stored where that takes fewer bytes."""
    stored = container.stored(levels.numpy(), model.levels)
    words = encode(model, levels, labels).astype("<u4").tobytes()
    return Block(CODED, words) if len(words) < len(stored) else Block(STORED, stored)


def _decoded(
    model: PixelModel, shape: ImageShape, count: int, block: Block, labels: Tensor | None
) -> Tensor:
    if block.mode == CODED:
        if len(block.payload) % 4:
            raise container.Damaged("is damaged: a block of half words")
        words = np.frombuffer(block.payload, "<u4").astype(np.uint32)
        return decode(_integers(model, shape)[0], words, count, labels)
    return container.unstored(block.payload, model.levels, (count, *shape))


def _levels(model: PixelModel, images: Any) -> Tensor:
    """Images as int64 levels ``(n, c, h, w)``; a single one may lack the first axis."""
    values = as_tensor(images)
    values = values[None] if values.ndim == 3 else values
    if values.ndim == 4 and tuple(values.shape[1:]) != tuple(model.shape):
        model = _of_shape(model, image_shape(tuple(values.shape[1:])))  # type: ignore[arg-type]
    return model.check(values).cpu()


def _of_shape(model: PixelModel, shape: ImageShape) -> PixelModel:
    """The same model for images of another size.

    Raises:
        ModelError: it is for one size, or other channels.
    """
    if shape.channels != model.shape.channels or model.network.largest is not None:
        raise ModelError(f"this model is for {model.shape} images, got one of {shape}")
    view = evaluation_view(model)
    other = PixelModel(view.network, view.output, shape)
    other.record = model.record
    return other


def _type_of(images: Any) -> int:
    dtype = np.dtype(str(images.dtype).removeprefix("torch.")) if hasattr(images, "dtype") else None
    name = np.dtype(np.int64).str if dtype is None else dtype.newbyteorder("<").str
    if name not in TYPES:
        raise DataError(f"images are integer levels, got {name}")
    return TYPES.index(name)


def _labels(model: PixelModel, condition: Any, n: int) -> Tensor | None:
    given = model.check_condition(condition, n)
    if given is not None and model.network.condition != "label":
        raise ModelError(f"a model with a {model.network.condition} condition has no integer form")
    return None if given is None else given.cpu()


def _grouped(arrays: Sequence[Tensor]) -> Iterator[tuple[ImageShape, Tensor]]:
    """Neighbours of one shape together."""
    for shape, some in groupby(arrays, lambda array: tuple(array.shape[1:])):
        yield image_shape(shape), torch.cat(list(some))


def _integers(model: PixelModel, shape: ImageShape) -> tuple[Integers, bytes]:
    """A model in whole numbers for images of a shape, and the fingerprint of its twin.

    Raises:
        ModelError: it was never calibrated, or has no integer form.
    """
    known = model.record.get(RANGES)
    if known is None:
        raise ModelError(
            "this model does not say how large its values become",
            hint="pixelcnn.calibrate(model, images), and save it: images like those to be compressed",
        )
    with _integer_form():
        if any(map(is_parametrized, model.network.modules())):
            raise Unlowerable(
                "its weights are normed by sums that are not the same on every machine"
            )
        program = program_of(evaluation_view(model))
        key = (tuple(known), model.output)
        kept = _twins.setdefault(program, {})
        if key not in kept:
            if len(known) != len(program.nodes):
                raise Unlowerable(
                    f"{len(known)} ranges for a program of {len(program.nodes)} nodes"
                )
            twin = Twin(program, model.levels, known, PRECISION)
            kept[key] = twin, fingerprint(twin, model)
        twin, name = kept[key]
        if tuple(shape) != tuple(model.shape):
            model = _of_shape(model, shape)
        return Integers(model, twin, shape), name


def fingerprint(twin: Twin, model: PixelModel) -> bytes:
    """What tells integer twins apart: a hash of every number of theirs."""
    output = json.dumps(to_config(OUTPUTS, model.output), sort_keys=True)
    found = hashlib.sha256(f"pixelcnn twin {VERSION} {twin.scale!r} {output}\n".encode())
    for node in twin.program.nodes:
        found.update(node.op.encode())
        for value in (getattr(node, field.name) for field in fields(node)):
            for part in _parts(value):
                found.update(part)
    return found.digest()[: container.FINGERPRINT]


def _parts(value: Any) -> Iterator[bytes]:
    """The bytes of a node's attribute."""
    if isinstance(value, Tensor):
        yield repr(tuple(value.shape)).encode()
        yield np.ascontiguousarray(value.double().numpy(), "<f8").tobytes()
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
    else:
        yield f"{value!r};".encode()


@contextlib.contextmanager
def _integer_form() -> Iterator[None]:
    """Says of a model without an integer form why it has none."""
    try:
        yield
    except Unlowerable as error:
        raise ModelError(f"this model has no integer form: {error}") from error
