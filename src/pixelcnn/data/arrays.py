"""Arrays of any kind as a set: in memory, or in a file of which no more is read than is needed.

NumPy's ``.npy`` and ``.npz``, HDF5, Zarr, FITS and IDX are told apart by what they begin with, and differ in
nothing else: a :class:`pixelcnn.data.stored.Container` gives their arrays.
"""

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data import fits, hdf5, idx, npy, zarr_store
from pixelcnn.data.bins import Bins
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.keys import (
    images_key,
    labelled,
    labels_key,
    named_condition,
    parts_of,
    unnamed_labels,
)
from pixelcnn.data.layout import in_rows, order_of, pixel_shape
from pixelcnn.data.lazy import LazyImages, Rows, pieces
from pixelcnn.data.opening import brief, named
from pixelcnn.data.packed import OpenFile
from pixelcnn.data.quantise import SOURCE, check_guess, possible, source_levels
from pixelcnn.data.raw import RawSet, check_finite, plain_type
from pixelcnn.data.reading import QUANTISED, Reading, typed
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.stored import Container, RowArray, Single, StoredArray, whole
from pixelcnn.data.tensors import as_tensor, extent, remedy
from pixelcnn.errors import DataError, PixelCNNError
from pixelcnn.shapes import MAX_LEVELS
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

USUAL_RANGES = ((0, 1), (-1, 1), (0, 255))
"""What real numbers often run over that were levels once."""

Values = np.ndarray | StoredArray


def read_arrays(path: Path, reading: Reading) -> ImageSet | Parts:
    """The images of a file of arrays as a set; those that are large stay there until they are used.

    Those that are parts of one set, see :func:`pixelcnn.data.keys.parts_of`, come in the shape of ``train``.

    Args:
        path: one array, or several by name: the images (``images``, ``x_train``, ``x``, ``data``, or the only
            ones), perhaps ``labels`` ``(n,)`` (or ``y``, ``y_train``, ``target``), ``condition`` (vectors
            ``(n, d)`` or maps ``(n, d, h, w)``) and ``levels`` (their number).
        reading: how; ``key`` names the images, ``condition`` what is given besides them, ``layout`` or
            ``shape`` settle axes that are not clear, ``source_levels`` says how many levels the values have.

    Raises:
        ConfigError: a library for this format is not installed.
        DataError: damaged, not integers, negative, of unclear axes, or with Python objects inside.
        ResourceError: an archive whose arrays are larger than memory.
    """
    where = printable(path.name)
    with named(where):
        container = contained(path, reading.layout)
        keys = parts_of(container) if reading.key is None else {}
    if not keys:
        return _read(container, reading, where)
    return read_alike(
        keys, lambda key, told: _read(container, dataclasses.replace(told, key=key), where), reading
    )


def _read(container: Container, reading: Reading, where: str) -> ImageSet:
    """The images of some arrays, with what belongs to them."""
    with named(where):
        key = images_key(container, reading.key)
        values = taken(container, key)
        beside = labels_key(container.names, key) or unnamed_labels(container, key)
        labels = None if beside is None or not reading.labels else whole(taken(container, beside))
        stored = whole(taken(container, "levels")) if "levels" in container.names else None
    images = from_values(values, labels, reading, where, _stored_levels(stored, where))
    with named(f"{where}:"):
        given, names = named_condition(container, reading.condition, len(images))
        return dataclasses.replace(images, condition=given, condition_names=names)


FROM_MATLAB = (
    "scipy.io.loadmat(path) gives its arrays, h5py.File(path) those of version 7.3 with their axes in reverse"
    " order, np.savez(path, images=…, labels=…) stores them"
)
"""What to do with a file whose arrays are not read."""


def contained(path: Path, layout: str | None = None) -> Container:
    """The arrays of a file or a store, by what it begins with; of one alone the labels beside it, too.

    Raises:
        DataError: the reason alone: damaged, or nothing that is known.
        ConfigError: a library for this format is not installed.
    """
    return labelled(path, _contained, layout)


def _contained(path: Path) -> Container:
    """What lies in the file or the store itself."""
    if path.is_dir():
        return zarr_store.Zarr(path)
    file = OpenFile(path)
    start = file.stream.read(len(fits.MAGIC))
    file.stream.seek(0)
    if start.startswith(npy.MAGIC):
        return Single(images=npy.FileArray(file))
    if idx.is_idx(start):
        return Single(images=idx.read_idx(file))
    if start.startswith(hdf5.MAGIC):
        return hdf5.Hdf5(file)
    if start.startswith(b"MATLAB"):
        raise DataError("is a file of MATLAB", hint=FROM_MATLAB)
    if start.startswith(fits.MAGIC):
        return fits.Fits(file)
    return npy.Archive(file)


def taken(container: Container, name: str) -> Values:
    """An array by its name, which is said if it cannot be used.

    Raises:
        DataError: it cannot be used.
    """
    try:
        return container[name]
    except PixelCNNError as error:
        raise type(error)(f"holds {brief(name)}, which {error}", hint=error.hint) from error


def from_values(
    values: Values, labels: Any, reading: Reading, where: str, known: int | None = None
) -> ImageSet:
    """An array with any layout, type of number, byte order and strides as a set.

    Args:
        values: ``n h w``, ``n h w c``, ``n c h w`` or an image in each row (see
            :func:`pixelcnn.data.layout.in_rows`).
        labels: integers ``(n,)``: an array, a tensor or a list.
        reading: how. Without ``source_levels`` they are measured values if it says so; else booleans have 2
            levels, and other values as many as ``usual_levels``, or as
            :func:`pixelcnn.data.quantise.source_levels` says.
        where: name of the set, and the start of every message.
        known: levels of the values, if their file says so.

    Raises:
        DataError: as :func:`read_arrays`.
    """
    known = reading.source_levels or known
    check_numbers(values, reading, where)
    layout = reading.layout or ""
    if layout.endswith("n") and values.ndim == len(layout):
        with named(where):
            values = np.moveaxis(whole(values), -1, 0)
        reading = dataclasses.replace(reading, layout=f"n{layout[:-1]}")
    labelled = labels is not None and np.shape(labels)[:1] == values.shape[:1]
    picture = reading.fit == "patches" and not labelled
    if not picture and in_rows(values.shape, labelled, reading.shape):
        log.info("%s: %s, an image in each row", where, values.shape)
        return from_rows(values, labels, reading, where, known)
    axes = order_of(values.shape, reading, where)
    with named(where):
        check_finite(values)
    with named(f"{where}:"):
        if bins := _bins_of_levels(values, known, reading):
            images = _levels(values, axes, bins.levels, where)
            return ImageSet(
                images, bins.levels, labels, name=where,
                quantisation=bins.describe(), bins=bins,
            )  # fmt: skip
        if reading.measured:
            images = _ordered(values, axes, plain_type(values.dtype), where)
            return RawSet(images, labels=labels, name=where)
        usual = None if values.dtype == np.bool_ else reading.usual_levels
        levels = known or usual or source_levels(values.dtype)
        images = _levels(values, axes, levels, where)
        if not known:
            check_guess(values, levels, reading.wanted, usual=bool(usual))
        return ImageSet(images, levels, labels, name=where)


def from_rows(
    values: Values, labels: Any, reading: Reading, where: str, known: int | None = None
) -> ImageSet:
    """An array ``(n, d)`` with an image in each row as a set, else as :func:`from_values`.

    Raises:
        DataError: they are not square and no model says how they are, or colours in an unknown order.
    """
    shape = pixel_shape(values.shape[1], reading, where)
    layout = reading.layout if len(shape) == 3 else "nhw"
    if isinstance(values, np.ndarray):
        images: Values = values.reshape(-1, *shape)
    else:
        images = RowArray(
            (len(values), *shape), values.dtype, lambda rows: values[rows].reshape(-1, *shape)
        )
    return from_values(images, labels, dataclasses.replace(reading, layout=layout), where, known)


def _bins_of_levels(values: Values, known: int | None, reading: Reading) -> Bins | None:
    """The bins that were asked for, if the values are levels of them already, as their archive says."""
    bins = reading.quantise if reading.measured else None
    levels = values.dtype.kind in "bui" and isinstance(bins, Bins) and bins.levels == known
    return bins if levels else None


def _levels(values: Values, axes: tuple[int, ...], levels: int, where: str) -> Tensor:
    """The values as ``n c h w`` of the type for so many levels."""
    most = possible(values.dtype)
    if most is None or most > levels:
        low, high = extent(values)
        if not 0 <= low <= high < levels:
            raise DataError(
                f"{levels} levels are the values 0 to {levels - 1}, these run from {low} to {high}",
                hint=f"measured values: say how they become levels with {typed('quantise')}"
                if low < 0 or high >= MAX_LEVELS
                else f"say how many levels they have with {SOURCE}",
            )
    bound = min(most or levels, levels)
    return _ordered(values, axes, np.dtype(np.uint8 if levels <= 256 else np.int32), where, bound)


def _ordered(
    values: Values, axes: tuple[int, ...], plain: np.dtype, where: str, bound: int | None = None
) -> Tensor:
    """The values as ``n c h w`` of a type; of a file they are read when used."""

    def ordered(some: np.ndarray) -> Tensor:
        moved = as_tensor(some.astype(plain, copy=False)).permute(axes)
        return moved[:, None] if len(axes) == 3 else moved

    def read(rows: Rows) -> Tensor:
        with named(f"{where}:"):
            return ordered(values[rows]).contiguous()

    if isinstance(values, np.ndarray):
        return ordered(values)
    sides = tuple(values.shape[axis] for axis in axes)
    shape = (sides[0], 1, *sides[1:]) if len(axes) == 3 else sides
    dtype = torch.from_numpy(np.empty(0, plain)).dtype
    return LazyImages(shape, dtype, read, bound)


def check_numbers(values: Values, reading: Reading, where: str) -> None:
    """Looks at the type of an array, before its values are read.

    Raises:
        DataError: real numbers that nothing says how to quantise, no numbers at all, or no values.
    """
    kind = values.dtype.kind
    if kind not in "buif" or (kind == "f" and not reading.measured):
        shown = brief(str(values.dtype), 60)
        what = "numbers" if kind == "f" else "values"
        hint = real_hint(values, reading) if kind == "f" else remedy(values.dtype)
        raise DataError(f"{where} holds {shown} {what}, but levels are integers", hint=hint)
    if values.size == 0:
        raise DataError(f"{where} is empty: its shape is {values.shape}")


def real_hint(values: Values, reading: Reading) -> str:
    """How real numbers become levels; a model of integers has no way for them."""
    if reading.quantise is not None or reading.usual_levels is not None:
        return "store the levels as integers; a model trained with data.quantise takes real numbers"
    first = values[next(pieces(values), slice(0))]
    low, high = (float(first.min()), float(first.max())) if first.size else (math.nan, math.nan)
    if 0 <= low <= high < 2**16 and (first == np.floor(first)).all():
        of = " and source_levels=2" if high <= 1 else ""
        return f"whole numbers become levels with .astype(int){of}; or {QUANTISED}"
    for least, most in USUAL_RANGES:
        if least <= low and most / 4 <= high <= most:  # else it would waste most levels
            return f"{QUANTISED}; [{least},{most}] if that is their range"
    return QUANTISED


def _stored_levels(levels: Any, where: str) -> int | None:
    """The number under ``levels``, if there is one."""
    if levels is None:
        return None
    if levels.size != 1 or levels.dtype.kind not in "ui":
        kind = f"{brief(str(levels.dtype), 60)} {levels.shape}"
        raise DataError(f"{where}: levels should be one number, got {kind}")
    return int(levels.reshape(()))
