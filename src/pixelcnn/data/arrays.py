"""Arrays: ``.npy`` (read as it is needed) and ``.npz`` with ``images`` and perhaps ``labels``."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.gate import brief, named, opened
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lazy import LazyImages
from pixelcnn.data.npy import MAGIC, Archive, FileArray
from pixelcnn.data.quantise import SOURCE, extent, note_coded, source_levels
from pixelcnn.data.reading import Reading
from pixelcnn.data.tensors import MAX_CLASSES, dtype_of
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape
from pixelcnn.text import printable

MANY_CHANNELS = 4
"""An axis longer than this is not taken for channels unless the model or the user says so."""
ASK = "say how its axes are laid out: --layout 'n h w', 'n h w c' or 'n c h w' (in Python layout=)"
AXES = {"nhw": (0, 1, 2), "nchw": (0, 1, 2, 3), "nhwc": (0, 3, 1, 2)}
"""Where the axes of a layout stand in order."""

Values = np.ndarray | FileArray


def read_array(path: Path, reading: Reading) -> ImageSet:
    """An ``.npy`` or ``.npz`` file as a set; what lies in an ``.npy`` file stays there until it is used.

    Args:
        path: an array, or an archive with ``images``, perhaps ``labels`` ``(n,)``, ``condition`` (vectors
            ``(n, d)`` or maps ``(n, d, h, w)``) and ``levels`` (their number), or with one array.
        reading: how; ``layout`` or ``shape`` settle axes that are not clear, ``source_levels`` says
            how many levels the values have.

    Raises:
        DataError: damaged, not integers, negative, of unclear axes, or with Python objects inside.
        ResourceError: an archive whose arrays are larger than memory.
    """
    where = printable(path.name)
    with named(where):
        arrays = _arrays(path)
    known = reading.source_levels or _stored_levels(arrays.get("levels"), where)
    images = from_values(arrays["images"], arrays.get("labels"), known, reading, where)
    if "condition" not in arrays:
        return images
    with named(f"{where}:"):
        return dataclasses.replace(images, condition=arrays["condition"])


def from_values(
    values: Values, labels: Any, known: int | None, reading: Reading, where: str
) -> ImageSet:
    """An array with any layout and integer type as a set.

    Args:
        values: ``n h w``, ``n h w c`` or ``n c h w``, in memory or in a file.
        labels: integers ``(n,)``.
        known: levels of the values, if something says so. Else booleans have 2, and other values as many
            as ``reading.usual_levels``, or as :func:`pixelcnn.data.quantise.source_levels` says.
        reading: the rest.
        where: name of the set, and the start of every message.

    Raises:
        DataError: as :func:`read_array`.
    """
    check_integers(values, where)
    axes = order_of(values, reading, where)
    with named(f"{where}:"):
        usual = None if values.dtype == np.bool_ else reading.usual_levels
        if not known and usual:
            note_coded(values, usual, reading.levels)
        levels = known or usual or source_levels(values, reading.levels)
        return ImageSet(_images(values, axes, levels), levels, _labels(labels), name=where)


def _images(values: Values, axes: tuple[int, ...], levels: int) -> Tensor:
    """The values as ``n c h w`` of the type for so many levels; of a file they are read when used."""
    plain = np.uint8 if levels <= 256 else np.int32
    if values.dtype != np.bool_ and (values.dtype != np.uint8 or levels < 256):
        low, high = extent(values)
        if not 0 <= low <= high < levels:
            raise DataError(
                f"{levels} levels are the values 0 to {levels - 1}, these run from {low} to {high}",
                hint=f"say how many levels they have with {SOURCE}",
            )

    def ordered(some: np.ndarray) -> Tensor:
        moved = torch.from_numpy(some.astype(plain, copy=False)).permute(axes)
        return moved[:, None] if len(axes) == 3 else moved

    if isinstance(values, np.ndarray):
        return ordered(values)
    sides = tuple(values.shape[axis] for axis in axes)
    shape = (sides[0], 1, *sides[1:]) if len(axes) == 3 else sides
    bound = 2 if values.dtype == np.bool_ else 256 if values.dtype == np.uint8 else levels
    dtype = dtype_of(levels)
    return LazyImages(shape, dtype, lambda rows: ordered(values[rows]).contiguous(), bound)


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file under their names; a single one is called ``images``."""
    with opened(path) as stream:
        if stream.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:  # type: ignore[attr-defined]
            return {"images": FileArray(path)}
        archive = Archive(stream)
        names = archive.names
        if "images" in names:
            wanted = [name for name in ("images", "labels", "condition", "levels") if name in names]
            return {name: archive[name] for name in wanted}
        if len(names) == 1:
            return {"images": archive[names[0]]}
    raise DataError(
        f"holds the arrays {brief(', '.join(names)) or 'none'}",
        hint="call them images and labels, or store one array",
    )


def check_integers(values: Values, where: str) -> None:
    """Looks at the type of an array, before any of its values is read.

    Raises:
        DataError: neither integers nor booleans, saying how to make levels of it; or none at all.
    """
    kind = values.dtype.kind
    if kind == "f":
        raise DataError(
            f"{where} holds {values.dtype} numbers, but levels are integers",
            hint="scale [0, 1] with (255 * x).round().astype(np.uint8), "
            "or keep whole numbers with x.astype(np.uint8)",
        )
    if kind not in "bui":
        raise DataError(
            f"{where} holds {brief(str(values.dtype), 60)} values, but levels are integers"
        )
    if values.size == 0:
        raise DataError(f"{where} is empty: its shape is {values.shape}")


def order_of(values: Values, reading: Reading, where: str) -> tuple[int, ...]:
    """Where the axes of an array stand, in the order ``n c h w``; of ``n h w`` the three it has.

    Raises:
        DataError: not three or four axes, or a layout that does not fit or is not clear.
    """
    layout = reading.layout or infer_layout(values.shape, reading.shape, where)
    if len(layout) != values.ndim:
        raise DataError(f"{where}: layout {' '.join(layout)} for the shape {values.shape}")
    return AXES[layout]


def infer_layout(shape: tuple[int, ...], model: ImageShape | None, where: str) -> str:
    """The layout of an array by its shape, and by the shape the model takes.

    Example:
        >>> infer_layout((9, 28, 28), None, "a.npy"), infer_layout((9, 3, 8, 8), None, "a.npy")
        ('nhw', 'nchw')
        >>> infer_layout((9, 3, 4, 3), ImageShape(3, 3, 4), "a.npy")
        'nhwc'

    Raises:
        DataError: no layout fits, or two do.
    """
    if len(shape) == 3 and (shape[-1] > MANY_CHANNELS or (model and model[1:] == shape[1:])):
        return "nhw"
    if len(shape) != 4:
        hint = ASK if len(shape) == 3 else "store it as n h w, n h w c or n c h w"
        raise DataError(f"{where}: the shape {shape} is no set of images", hint=hint)
    first, last = shape[1:], (shape[3], shape[1], shape[2])
    candidates: dict[str, Any] = {"nchw": first, "nhwc": last}
    if model is not None:
        exact = [name for name, one in candidates.items() if one == tuple(model)]
        alike = [name for name, one in candidates.items() if one[0] == model.channels]
    else:
        exact, alike = [], [n for n, one in candidates.items() if one[0] <= MANY_CHANNELS]
    fitting = exact or alike
    if len(fitting) == 1:
        return fitting[0]
    raise DataError(f"{where}: the shape {shape} is ambiguous", hint=ASK)


def _stored_levels(levels: Any, where: str) -> int | None:
    """The number under ``levels``, if there is one."""
    if levels is None:
        return None
    if levels.size != 1 or levels.dtype.kind not in "ui":
        kind = f"{brief(str(levels.dtype), 60)} {levels.shape}"
        raise DataError(f"{where}: levels should be one number, got {kind}")
    return int(levels.reshape(()))


def _labels(labels: Any) -> Any:
    """Labels of any integer type as one that torch counts with."""
    if labels is None or labels.dtype.kind not in "bui":
        return labels
    most = min(MAX_CLASSES, int(labels.max(initial=0)))  # beyond it an int64 could turn negative
    return np.minimum(labels, labels.dtype.type(most)).astype(np.int64)
