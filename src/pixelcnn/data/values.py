"""Arrays and tensors in memory, and lists of them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import data_frame, items
from pixelcnn.data.arrays import from_values
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.lazy import LazyImages, numpy_rows
from pixelcnn.data.opening import named
from pixelcnn.data.pictures import is_picture
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.stored import RowArray
from pixelcnn.data.tensors import as_array, as_tensor, dense, numbers_of, unmasked
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

ARRAY = "array"
"""The name of a set that was made of an array."""
PARTS = {2: ("train", "test"), 3: ("train", "val", "test")}
"""What so many arrays with labels are."""
INTERFACES = ("__array__", "__array_interface__")
"""By which NumPy takes others' arrays; beside buffers, of which bytes are rather a file."""


def is_array(source: Any) -> bool:
    """Whether something is an array, or a list that one can be made of: not of pictures or paths.

    Example:
        >>> is_array(np.zeros(3)), is_array([[0, 1]]), is_array(["a.png"])
        (True, True, False)
    """
    if isinstance(source, list | tuple) and not isinstance(source, Splits):
        if not source or items.paired(source) or is_labelled(source):
            return False
        return is_array(source[0]) or isinstance(source[0], int | float)
    numbers = isinstance(source, memoryview) or any(hasattr(source, name) for name in INTERFACES)
    return numbers and not is_picture(source) and not data_frame.fits(source)


def is_plain(source: Any) -> bool:
    """Whether something is an array, alone or with labels, and no data frame, whose columns have names."""
    return is_array(source) or (is_pair(source) and not data_frame.fits(source[0]))


def is_labelled(source: Any) -> bool:
    """Whether something is an array of images and their labels, or several of these, as Keras has its sets.

    Example:
        >>> pair = np.zeros((3, 28, 28)), np.zeros(3)
        >>> is_labelled(pair), is_labelled((pair, pair)), is_labelled(np.zeros((2, 3, 28, 28)))
        (True, True, False)
    """
    if not isinstance(source, list | tuple) or isinstance(source, Splits):
        return False
    return is_pair(source) or (len(source) in PARTS and all(map(is_pair, source)))


def is_pair(source: Any) -> bool:
    """Whether the first is of images, perhaps in rows, and the second has one number or word for each."""
    if not isinstance(source, list | tuple) or len(source) != 2:
        return False
    images, labels = source
    if not (is_array(images) or data_frame.fits(images)) or isinstance(labels, str | bytes):
        return False
    if _axes(images) < 2:
        return False
    one_each = _axes(labels) == 1 or getattr(labels, "shape", ())[1:] == (1,)
    one_each |= _axes(images) > _axes(labels) == 2  # one-hot, which has a remedy
    # Arrays of Zarr have no length.
    lengths = {each.shape[0] if hasattr(each, "shape") else len(each) for each in source}
    return one_each and len(lengths) == 1


def is_several(source: Any) -> bool:
    """Whether something is arrays of training and of test images with their labels, as Keras has its sets."""
    return is_labelled(source) and not is_pair(source)


def _axes(values: Any) -> int:
    """How many axes an array has, or would have if it is made of a list."""
    if isinstance(values, list | tuple):
        return 1 + _axes(values[0]) if values else 1
    return len(getattr(values, "shape", ()))


def read_labelled(source: Any, reading: Reading) -> ImageSet | Parts:
    """Arrays with their labels: one set, or training and test images, perhaps with validation between."""
    if is_pair(source):
        return read_values(source[0], reading, source[1])
    pairs = dict(zip(PARTS[len(source)], source, strict=True))
    return read_alike(pairs, lambda pair, told: read_values(pair[0], told, pair[1]), reading)


def read_values(source: Any, reading: Reading, labels: Any = None) -> ImageSet:
    """An array or a data frame as a set, perhaps with labels."""
    labels = labels if reading.labels else None
    if data_frame.fits(source):
        return data_frame.read(source, reading, labels)
    with named(f"{ARRAY}:"):
        found = values_of(source)
        if isinstance(found, LazyImages):
            dtype = as_array(torch.empty(0, dtype=found.dtype)).dtype
            values: Any = RowArray(tuple(found.shape), dtype, lambda rows: as_array(found[rows]))
        elif isinstance(found, Tensor) or found.flags.writeable:
            values = as_array(found)
        else:
            values = RowArray(
                found.shape, found.dtype, lambda rows: np.array(found[numpy_rows(rows)])
            )
    return from_values(values, labels, reading, ARRAY)


def values_of(source: Any) -> Any:
    """An array, or a list of arrays of one shape, as one array or tensor.

    Raises:
        DataError: arrays of different shapes, no numbers, masked ones, or tensors that are not dense.
        ResourceError: more than the memory holds.
    """
    if isinstance(source, list | tuple):
        try:
            shapes = sorted({tuple(np.shape(each)) for each in source})
        except ValueError as error:
            raise DataError(
                "a list that is no array: its parts have different lengths",
                hint="give images alone, one part a time; labels go into data.ImageSet(images, labels=…)",
            ) from error
        if len(shapes) > 1:
            raise DataError(
                f"a list of images of different shapes: {shapes[0]} and {shapes[1]}",
                hint="bring them to one shape; labels go into data.ImageSet(images, labels=…)",
            )
        return np.asarray([as_array(each) for each in source])
    if isinstance(source, Tensor):
        dense(source)
        return source
    size = getattr(source, "nbytes", 0)
    if isinstance(size, int) and not isinstance(source, np.ndarray):  # in a file, as those of h5py
        afford(size)
    return np.asarray(unmasked(source))


def tensor_of(source: Any) -> Tensor:
    """An array as a tensor that shares its memory; one that cannot be written to, as in a file, lazily.

    Raises:
        DataError: see :func:`values_of`; or a single number.
    """
    with named(f"{ARRAY}:"):
        values = values_of(source)
    if not values.ndim:
        raise DataError("a single number is no image", hint="pass n c h w")
    if isinstance(values, Tensor) or values.flags.writeable:
        return numbers_of(values, "images are integer levels (n, c, h, w)")
    dtype = numbers_of(np.array(values[:0]), "images are integer levels (n, c, h, w)").dtype
    return LazyImages(values.shape, dtype, lambda rows: as_tensor(values[numpy_rows(rows)]))
