"""Arrays and tensors in memory, and lists of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import items
from pixelcnn.data.arrays import from_values
from pixelcnn.data.gate import named
from pixelcnn.data.image_set import Splits
from pixelcnn.data.lazy import LazyImages, Rows
from pixelcnn.data.pictures import is_picture
from pixelcnn.data.reading import Reading
from pixelcnn.data.rows import RowArray
from pixelcnn.data.splits import Parts
from pixelcnn.data.tensors import as_tensor, dense, numbers_of, unmasked
from pixelcnn.errors import DataError

ARRAY = "array"
"""The name of a set that was made of an array."""
INTERFACES = ("__array__", "__array_interface__")
"""By which NumPy takes others' arrays; beside buffers, of which bytes are rather a file."""


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
    numbers = isinstance(source, memoryview) or any(hasattr(source, name) for name in INTERFACES)
    return numbers and not is_picture(source)


def read_values(source: Any, reading: Reading) -> Parts:
    """An array as a set."""
    with named(f"{ARRAY}:"):
        values = values_of(source)
        if isinstance(values, Tensor):
            values = _of_tensor(values)
        elif not values.flags.writeable:
            values = RowArray(values.shape, values.dtype, _copies(values))
    return {"all": from_values(values, None, reading.source_levels, reading, ARRAY)}


def values_of(source: Any) -> Any:
    """An array, or a list of arrays of one shape, as one array or tensor.

    Raises:
        DataError: arrays of different shapes, no numbers, masked ones, or tensors that are not dense.
    """
    if isinstance(source, list | tuple):
        if isinstance(source[0], Tensor):
            source = [
                each if isinstance(each, Tensor) else torch.as_tensor(each) for each in source
            ]
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
        return (
            torch.stack(source)
            if isinstance(source[0], Tensor)
            else np.asarray([unmasked(each) for each in source])
        )
    if isinstance(source, Tensor):
        dense(source)
        return source
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
    return LazyImages(values.shape, dtype, lambda rows: as_tensor(values[rows]))


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
