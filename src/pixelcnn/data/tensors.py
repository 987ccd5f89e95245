"""What a set of images holds, as tensors of the right type, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.annotations import shown
from pixelcnn.data.lazy import LazyImages, each, pieces
from pixelcnn.errors import DataError
from pixelcnn.shapes import MAX_LEVELS, ImageShape, image_shape, unflattened

OTHERS = "pixelcnn.data.load_all makes a set of levels of pictures, files and other arrays"

SIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""What holds the values of an unsigned type; of 64 bits all but the largest."""


def dtype_of(levels: int) -> torch.dtype:
    """How this many levels are stored."""
    return torch.uint8 if levels <= 256 else torch.int32


def as_tensor(values: Any) -> Tensor:
    """Whatever holds numbers as a tensor: arrays of any byte order and strides, lists, tensors.

    Memory is shared where PyTorch can; it knows neither foreign byte orders nor negative strides nor memory
    that cannot be written to, and computes little with unsigned integers of more than a byte: those become
    signed ones.

    Raises:
        TypeError, ValueError, RuntimeError: these are no numbers.
        DataError: values from 2**63 on; see also :func:`unmasked` and :func:`dense`.

    Example:
        >>> as_tensor(np.array([1, 2, 3], ">i2")[::-1]).tolist()
        [3, 2, 1]
    """
    if isinstance(values, Tensor):
        dense(values)
        if values.dtype not in SIGNED:
            return values
        signed = values.to(SIGNED[values.dtype])
        if (signed < 0).any():
            raise DataError("has integers from 2**63 on, which PyTorch does not compute with")
        return signed
    array = np.asarray(unmasked(values))
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # A stride that is no multiple of a value's size comes from one field of a structured array.
    size = max(array.dtype.itemsize, 1)
    strange = any(stride < 0 or stride % size for stride in array.strides)
    if strange or not array.flags.writeable:
        array = array.copy()
    return as_tensor(torch.from_numpy(array))


def as_array(values: Any) -> np.ndarray:
    """Whatever holds numbers as an array, in memory that is shared where it can be.

    Raises:
        DataError: see :func:`unmasked` and :func:`dense`.

    Example:
        >>> as_array(torch.tensor([1, 2], dtype=torch.uint8)).dtype, as_array([[1], [2]]).shape
        (dtype('uint8'), (2, 1))
    """
    if isinstance(values, Tensor):
        dense(values)
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy(force=True)
    return np.asarray(unmasked(values))


def dense(values: Tensor) -> None:
    """Does nothing where a tensor has a number for each of its places.

    Raises:
        DataError: it is sparse, nested, quantised, or on the device ``meta``, which holds no numbers.
    """
    if isinstance(values, LazyImages):
        return  # which would be read, were they asked
    strange = values.is_meta or values.is_nested or values.is_quantized
    if strange or values.layout != torch.strided:
        raise DataError(
            "has no number at each place, for it is sparse, nested, quantised or on the device meta",
            hint="pass x.to_dense(), one image at a time: x.unbind(), x.dequantize(), or another device's",
        )


def unmasked(values: Any) -> Any:
    """The same, unless values of it are masked.

    Raises:
        DataError: they are; NumPy would take what lies under the mask for values.
    """
    if np.ma.is_masked(values):
        raise DataError(
            "has masked values, which are no levels", hint="say what they are: x.filled(0)"
        )
    return values


def levels_tensor(images: Any, levels: int, /) -> Tensor:
    """Images as a tensor of the right type, checked against ``levels``; lazy ones stay lazy."""
    tensor, dtype = numbers_of(images, "images are integer levels", OTHERS), dtype_of(levels)
    if tensor.ndim != 4:
        raise DataError(
            f"images have four axes n c h w, got the shape {tuple(tensor.shape)}",
            hint=unflattened(tensor.shape) or OTHERS,
        )
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise DataError(f"images are integer levels, got {tensor.dtype}", hint=remedy(tensor.dtype))
    image_shape(tensor.shape[1:])
    if tensor.dtype == torch.bool:
        tensor = each(tensor, lambda some: some.to(torch.uint8), bound=2)
    bound = tensor.bound if isinstance(tensor, LazyImages) else None
    full = tensor.dtype == torch.uint8 and levels == 256
    if not full and tensor.numel() and (bound is None or bound > levels):
        low, high = extent(tensor)
        if low < 0 or high >= levels:
            raise DataError(
                f"{levels} levels are the values 0 to {levels - 1}, these run from {low} to {high}",
                hint="say how many levels the values have, or quantise them first",
            )
        bound = high + 1
    if isinstance(tensor, LazyImages) and tensor.dtype == dtype and tensor.bound == bound:
        return tensor
    return each(tensor, lambda some: some.to(dtype), bound)


def measured_tensor(images: Any, _: int, /) -> Tensor:
    """Measured images as a tensor of their own type, checked; lazy ones stay lazy."""
    values = numbers_of(images, "measured images are numbers")
    if values.ndim != 4 or values.is_complex():
        raise DataError(
            f"measured images are real numbers n c h w, got {values.dtype} {tuple(values.shape)}"
        )
    image_shape(values.shape[1:])
    return values


def extent(values: Any) -> tuple[Any, Any]:
    """Smallest and largest of the values of an array or a tensor, read piece by piece."""
    ends = [(part.min().item(), part.max().item()) for part in (values[p] for p in pieces(values))]
    return min(low for low, _ in ends), max(high for _, high in ends)


def condition_tensor(condition: Any, shape: ImageShape | None, names: Sequence[str] = ()) -> Tensor:
    """Vectors as float64, since parameters may be 1e45, or maps as float32; checked.

    Args:
        condition: vectors ``(n, d)`` or maps ``(n, d, h, w)``.
        shape: of the images; None of maps of any size.
        names: of the features.

    Raises:
        DataError: no finite numbers, or of another shape; it names the image and the feature.
    """
    sides = "h, w)" if shape is None else f"{shape.height}, {shape.width}) as large as the images"
    kind = f"a condition is numbers: vectors (n, d), or maps (n, d, {sides}"
    tensor = numbers_of(condition, kind)
    wrong_maps = tensor.ndim == 4 and shape is not None and tensor.shape[2:] != shape[1:]
    if tensor.ndim not in (2, 4) or wrong_maps or tensor.dtype.is_complex or not tensor.shape[1]:
        raise DataError(f"{kind}, got {tensor.dtype} {tuple(tensor.shape)}")
    if names and len(names) != tensor.shape[1]:
        raise DataError(f"the condition has {tensor.shape[1]} features and {len(names)} names")
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise DataError(f"two features of the condition are called {twice}")
    found = tensor.to(torch.float64 if tensor.ndim == 2 else torch.float32)
    if not found.isfinite().all():
        bad = found.flatten(2).isfinite().all(-1) if found.ndim == 4 else found.isfinite()
        rows, features = bad.logical_not().nonzero().unbind(1)
        name = names[int(features[0])] if names else f"feature {int(features[0]) + 1}"
        raise DataError(
            f"the condition of {len(rows.unique())} of {len(found)} images holds NaN or infinity, the"
            f" first is {name} of image {int(rows[0])}",
            hint="leave these images out, or replace the values",
        )
    return found


def names_in(values: Any) -> tuple[str, ...]:
    """Names that features have where they are held, so that ``values[name]`` is one; none if some have none.

    Those of a mapping, of the columns of a data frame, of the fields of a structured array, or of the index
    of a series of pandas.

    Example:
        >>> names_in({"mass": 1}), names_in(np.zeros(3, [("mass", float)])), names_in(np.zeros(3))
        (('mass',), ('mass',), ())
    """
    fields = getattr(getattr(values, "dtype", None), "names", None)
    keys = values if isinstance(values, Mapping) else None
    for names in (keys, getattr(values, "columns", None), fields, getattr(values, "index", None)):
        if names is not None and not callable(names):  # as the method of a list is
            found = tuple(names)
            return found if all(isinstance(name, str) for name in found) else ()
    return ()


def numbers_of(values: Any, wanted: str, hint: str = "") -> Tensor:
    """Values as a tensor of whatever type of number they have, see :func:`as_tensor`.

    Args:
        values: numbers of any kind.
        wanted: what they ought to be, in words.
        hint: what to do about other things than lists and arrays of objects.

    Raises:
        DataError: these are no numbers.
    """
    try:
        return as_tensor(values)
    except DataError as error:
        raise DataError(f"{wanted}, and this array {error}", hint=error.hint) from error
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        kind = getattr(values, "dtype", type(values).__name__)
        raise DataError(f"{wanted}, got {str(kind)[:60]}", hint=remedy(kind) or hint) from error


def remedy(kind: Any) -> str:
    """What to do about values of a type that levels have not; empty if there is no saying.

    Example:
        >>> remedy(np.dtype(object))
        'bring all to one shape and type, as by numpy.stack(values) or values.astype(numpy.uint8)'
        >>> remedy(torch.float32)
        'quantise first: this package scales levels itself'
    """
    name = str(kind)
    if "float" in name or "complex" in name:
        return "quantise first: this package scales levels itself"
    if name in ("object", "list", "tuple"):
        return "bring all to one shape and type, as by numpy.stack(values) or values.astype(numpy.uint8)"
    if "bool" in name:
        return "booleans are two levels: say which of the model's they are, as by 16 * mask of 17"
    return ""


def level_count(levels: Any) -> int:
    """A number of levels as an ``int``: NumPy's integers are integers, too."""
    found = levels.item() if isinstance(levels, np.generic) else levels
    if not isinstance(found, int) or isinstance(found, bool) or not 2 <= found <= MAX_LEVELS:
        raise DataError(f"a set of images has 2 to {MAX_LEVELS} levels, got {shown(levels)}")
    return found


def evenly(total: int, few: int) -> Tensor:
    """At most ``few`` numbers below ``total``, evenly spread.

    Example:
        >>> evenly(10, 3)
        tensor([0, 3, 6])
    """
    few = min(few, total)
    return torch.arange(few) * total // few
