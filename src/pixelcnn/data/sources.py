"""Every kind of source that images are taken from: how it is told, and what reads it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import hugging_face, items
from pixelcnn.data.arrays import from_values
from pixelcnn.data.conditions import given_by
from pixelcnn.data.gate import named
from pixelcnn.data.geometry import fitted
from pixelcnn.data.image_set import ImageSet, Splits, joined
from pixelcnn.data.lazy import LazyImages, Rows
from pixelcnn.data.own import KINDS, read_path
from pixelcnn.data.pictures import read_pictures
from pixelcnn.data.prepare import prepared_folder, prepared_keys
from pixelcnn.data.reading import Reading, check_useful
from pixelcnn.data.rows import RowArray
from pixelcnn.data.splits import Parts, alike, splits_of
from pixelcnn.data.tensors import as_tensor, numbers_of
from pixelcnn.errors import ConfigError, DataError

ARRAY = "array"
"""The name of a set that was made of an array."""


class Kind(NamedTuple):
    """One kind of source.

    Attributes:
        fits: whether something is of this kind.
        read: its images, in the parts that it has.
        useful: options of :data:`pixelcnn.data.reading.RESTRICTED` that it has a use for; None if ``read``
            looks after that.
    """

    fits: Callable[[Any], bool]
    read: Callable[[Any, Reading], Parts]
    useful: frozenset[str] | None = frozenset()


def parts_of(source: Any, reading: Reading) -> Parts:
    """The images of any source but a named set, in the size that was asked for.

    Raises:
        ConfigError: no images can be taken from it, or an option does not go with it.
        DataError: it cannot be used.
    """
    kind = next((kind for kind in KINDS_OF_SOURCES if kind.fits(source)), None)
    if kind is None:
        raise ConfigError(
            f"no images can be taken from something of type {type(source).__name__}",
            hint="an array, a tensor, pictures of Pillow, an ImageSet, a dataset of Hugging Face or PyTorch,"
            f" hf:NAME, or {KINDS}",
        )
    if kind.useful is not None:
        check_useful(reading, kind.useful, f"the {type(source).__name__}")
    parts = kind.read(source, reading)
    parts = {name: fitted(part, reading.size, reading.fit) for name, part in parts.items()}
    return {
        name: given_by(part, reading.condition_file, reading.size, reading.fit)
        for name, part in parts.items()
    }


def whole_of(source: Any, reading: Reading) -> ImageSet:
    """All images of a source, in their order."""
    parts = list(parts_of(source, reading).values())
    return parts[0] if len(parts) == 1 else dataclasses.replace(joined(*parts), split="all")


def splits_from(source: Any, reading: Reading, test: Any = None) -> Splits:
    """A source in three parts, see :func:`pixelcnn.data.splits.splits_of`."""
    parts, other, keys = parts_of(source, reading), None, None
    if test is not None:
        other = whole_of(test, alike(reading, next(iter(parts.values()))))
    packed = prepared_folder(Path(source).expanduser()) if is_path(source) else None
    if packed is not None and parts["all"].group is None:
        keys = prepared_keys(packed, len(parts["all"]))
    return splits_of(parts, keys, other)


def is_path(source: Any) -> bool:
    """Whether something is a path."""
    return isinstance(source, str | Path)


def is_array(source: Any) -> bool:
    """Whether something is an array, or a list that one can be made of: not of pictures or paths.

    Example:
        >>> is_array(np.zeros(3)), is_array([[0, 1]]), is_array(["a.png"])
        (True, True, False)
    """
    if isinstance(source, list | tuple) and not isinstance(source, Splits):
        if not source or items.paired(source):
            return False
        return is_array(source[0]) or isinstance(source[0], int | float)
    return not is_picture(source) and hasattr(source, "__array__")


def is_picture(source: Any) -> bool:
    """Whether something is a picture of Pillow, which need not be imported to know."""
    return any(kind.__module__ == "PIL.Image" for kind in type(source).__mro__)


def values_of(source: Any) -> Any:
    """An array, or a list of arrays of one shape, as one array or tensor.

    Raises:
        DataError: arrays of different shapes, or no numbers.
    """
    if isinstance(source, list | tuple):
        if isinstance(source[0], Tensor):
            source = [
                each if isinstance(each, Tensor) else torch.as_tensor(each) for each in source
            ]
        try:
            shapes = sorted({tuple(np.shape(each)) for each in source})
        except ValueError as error:
            raise DataError("a list that is no array: its parts have different lengths") from error
        if len(shapes) > 1:
            raise DataError(
                f"a list of images of different shapes: {shapes[0]} and {shapes[1]}",
                hint="bring them to one shape; labels go into data.ImageSet(images, labels=…)",
            )
        return torch.stack(source) if isinstance(source[0], Tensor) else np.asarray(source)
    return source if isinstance(source, Tensor) else np.asarray(source)


def tensor_of(source: Any) -> Tensor:
    """An array as a tensor that shares its memory; one that cannot be written to, as in a file, lazily.

    Raises:
        DataError: see :func:`values_of`.
    """
    values = values_of(source)
    if isinstance(values, Tensor) or values.flags.writeable or not values.ndim:
        return numbers_of(values, "images are integer levels (n, c, h, w)")
    dtype = numbers_of(np.array(values[:0]), "images are integer levels (n, c, h, w)").dtype
    # PyTorch has no tensors that cannot be written to, and warns of sharing such memory.
    return LazyImages(values.shape, dtype, lambda rows: as_tensor(np.array(values[rows])))


def _read_array(source: Any, reading: Reading) -> Parts:
    with named(f"{ARRAY}:"):
        values = values_of(source)
        if isinstance(values, Tensor):
            values = _of_tensor(values)
        elif not values.flags.writeable:
            values = RowArray(values.shape, values.dtype, _copies(values))
    return {"all": from_values(values, None, reading.source_levels, reading, ARRAY)}


def _copies(values: np.ndarray) -> Callable[[Rows], np.ndarray]:
    return lambda rows: np.array(values[rows])


def _of_tensor(values: Tensor) -> Any:
    """A tensor as an array, lazily if it is lazy; types that NumPy has not become others."""
    if isinstance(values, LazyImages):
        dtype = torch.empty(0, dtype=values.dtype).numpy().dtype
        return RowArray(tuple(values.shape), dtype, lambda rows: values[rows].numpy())
    plain = values.detach().cpu()
    wide = plain.is_floating_point() and plain.dtype.itemsize < 4
    return (plain.float() if wide else numbers_of(plain, "images are numbers")).numpy()


def _read_pictures(source: Any, reading: Reading) -> Parts:
    listed = source if isinstance(source, list | tuple) else [source]
    return {
        "all": read_pictures([Path(each) if is_path(each) else each for each in listed], reading)
    }


def _listed(source: Any) -> bool:
    single = is_picture(source) or isinstance(source, bytes)
    if isinstance(source, Splits) or not isinstance(source, Sequence) or is_path(source):
        return single
    return single or all(
        is_picture(each) or is_path(each) or isinstance(each, bytes) for each in source
    )


KINDS_OF_SOURCES = (
    Kind(lambda source: isinstance(source, ImageSet), lambda source, _: {"all": source}),
    Kind(lambda source: isinstance(source, Splits), lambda source, _: source._asdict()),
    Kind(hugging_face.named, hugging_face.read_named, hugging_face.USEFUL),
    Kind(is_path, read_path, None),
    Kind(hugging_face.fits, hugging_face.read, hugging_face.USEFUL),
    Kind(items.paired, items.read, items.USEFUL),
    Kind(_listed, _read_pictures, frozenset(("skip_bad",))),
    Kind(is_array, _read_array, frozenset(("layout",))),
    Kind(items.fits, items.read, items.USEFUL),
)
"""Asked in this order."""
