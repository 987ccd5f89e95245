"""Arrays: ``.npy`` (mapped, never read whole) and ``.npz`` with ``images`` and perhaps ``labels``."""

import dataclasses
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelcnn.data.files import printable
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.quantise import source_levels
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape

MAGIC = b"\x93NUMPY"
"""The first bytes of an ``.npy`` file, whatever it is called."""
MANY_CHANNELS = 4
"""An axis longer than this is not taken for channels unless the model or the user says so."""
ASK = "say how its axes are laid out: --layout 'n h w', 'n h w c' or 'n c h w' (in Python layout=)"


def read_array(path: Path, reading: Reading) -> ImageSet:
    """An ``.npy`` or ``.npz`` file as a set; ``.npy`` files of uint8 stay on disk.

    Args:
        path: an array, or an archive with ``images``, perhaps ``labels`` ``(n,)``, ``condition`` (vectors
            ``(n, d)`` or maps ``(n, d, h, w)``) and ``levels`` (their number), or with one array.
        reading: how; ``layout`` or ``shape`` settle axes that are not clear, ``source_levels`` says
            how many levels the values have.

    Raises:
        DataError: damaged, not integers, negative, of unclear axes, or with Python objects inside.
    """
    where = printable(path.name)
    try:
        arrays = _open(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise _damaged(where, error) from error
    values = arrays["images"]
    known = reading.source_levels or _stored_levels(arrays, where)
    labels = arrays.get("labels") if "labels" in arrays else None
    images = from_values(values, labels, known, reading, where)
    if "condition" not in arrays:
        return images
    return dataclasses.replace(images, condition=torch.from_numpy(arrays["condition"]))


def from_values(
    values: np.ndarray, labels: np.ndarray | None, known: int | None, reading: Reading, where: str
) -> ImageSet:
    """An array with any layout and integer type as a set.

    Args:
        values: ``n h w``, ``n h w c`` or ``n c h w``.
        labels: ``(n,)``.
        known: levels of the values; ``None`` infers them, see
            :func:`pixelcnn.data.quantise.source_levels`.
        reading: the rest.
        where: name of the set, and the start of every message.

    Raises:
        DataError: as :func:`read_array`.
    """
    values = check_integers(values, where)
    try:
        images = torch.from_numpy(in_order(values, reading, where))
        levels = known or source_levels(values, reading.levels)
        return ImageSet(images, levels, _labels(labels), name=where)
    except DataError as error:
        named = str(error) if str(error).startswith(where) else f"{where}: {error}"
        raise DataError(named, hint=error.hint) from error


def _open(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file under their names; a single one is called ``images``."""
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) == MAGIC:
            # Copy on write: the tensor may be written to, the file never is.
            return {"images": np.load(path, mmap_mode="c", allow_pickle=False)}
        stream.seek(0)
        archive = np.load(stream, allow_pickle=False)
        names = list(archive.files)
        if "images" in names:
            wanted = [name for name in ("images", "labels", "condition", "levels") if name in names]
            return {name: archive[name] for name in wanted}
        if len(names) == 1:
            return {"images": archive[names[0]]}
    raise DataError(
        f"{printable(path.name)} holds the arrays {', '.join(map(printable, names)) or 'none'}",
        hint="call them images and labels, or store one array",
    )


def _damaged(where: str, error: Exception) -> DataError:
    """What NumPy complains of, in our words."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    if "allow_pickle" in text or "Python objects" in text:
        return DataError(
            f"{where} is no plain array: Python objects are never loaded",
            hint="store integers: np.save(path, images.astype(np.uint8))",
        )
    return DataError(f"{where} cannot be read: {text}")


def check_integers(values: np.ndarray, where: str) -> np.ndarray:
    """The array with an integer type that torch knows; booleans become 0 and 1.

    Raises:
        DataError: any other type, saying how to make levels of it.
    """
    kind = values.dtype.kind
    if kind == "f":
        raise DataError(
            f"{where} holds {values.dtype} numbers, but levels are integers",
            hint="scale [0, 1] with (255 * x).round().astype(np.uint8), "
            "or keep whole numbers with x.astype(np.uint8)",
        )
    if kind not in "bui":
        raise DataError(f"{where} holds {values.dtype} values, but levels are integers")
    if values.size == 0:
        raise DataError(f"{where} is empty: its shape is {values.shape}")
    if kind == "b":
        return values.view(np.uint8)
    if values.dtype == np.uint8:
        return values
    if kind == "u" and values.max() >= 2**31:
        raise DataError(f"{where}: values up to {values.max()} cannot be levels")
    return values.astype(np.int64 if values.dtype.itemsize == 8 else np.int32)


def in_order(values: np.ndarray, reading: Reading, where: str) -> np.ndarray:
    """The array as ``n c h w``, a view.

    Raises:
        DataError: not three or four axes, or a layout that does not fit or is not clear.
    """
    layout = reading.layout or infer_layout(values.shape, reading.shape, where)
    if len(layout) != values.ndim:
        raise DataError(f"{where}: layout {' '.join(layout)} for the shape {values.shape}")
    if layout == "nhw":
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if layout == "nhwc" else values


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


def _stored_levels(arrays: dict[str, np.ndarray], where: str) -> int | None:
    """The number under ``levels``, if there is one."""
    levels = arrays.get("levels")
    if levels is None:
        return None
    if levels.size != 1 or levels.dtype.kind not in "ui":
        raise DataError(f"{where}: levels should be one number, got {levels.dtype} {levels.shape}")
    return int(levels.reshape(()))


def _labels(labels: np.ndarray | None) -> torch.Tensor | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "bui":
        raise DataError(f"labels are integers (n,), got {labels.dtype} {labels.shape}")
    return torch.from_numpy(labels.astype(np.int64))
