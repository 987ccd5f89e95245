"""Vectors and maps that lie in files of their own: tables of parameters, arrays, and pictures."""

import contextlib
import dataclasses
import itertools
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.data.arrays import contained
from pixelcnn.data.files import ImageFile, find_images, name_of
from pixelcnn.data.geometry import cropped
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.keys import CONDITION, stored_names
from pixelcnn.data.label_column import is_unnamed
from pixelcnn.data.labels import natural
from pixelcnn.data.lines import fields_of
from pixelcnn.data.opening import brief, missing, named
from pixelcnn.data.parsing import is_number
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.pictures import read_files
from pixelcnn.data.reading import CONDITION_ARRAYS, CONDITION_TABLES, Reading, as_size, typed
from pixelcnn.data.stored import Single, whole
from pixelcnn.data.table import lines_said
from pixelcnn.data.tensors import condition_tensor
from pixelcnn.errors import DataError
from pixelcnn.folders import at_home, is_there
from pixelcnn.shapes import ImageShape
from pixelcnn.text import counted, printable

log = logging.getLogger("pixelcnn")

FILES = ("name", "names", "file", "files", "filename", "file_name", "image", "path")
"""What the column of a table is called that says which image a row belongs to."""
NAMED = "a table with a column `name`, or pictures, say which image each condition is of"
"""What to do where the order of images does not."""
FULL = 65_536
"""Levels that pictures of maps are read with: 8 bits fill them evenly, and 16 keep all they have."""


class Features(NamedTuple):
    """Vectors or maps from a file.

    Attributes:
        values: vectors ``(n, d)``, float64, or maps ``(n, d, h, w)``, float32.
        names: of the d features, if they have any.
        files: the image that each belongs to, if the file says so.
    """

    values: Tensor
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def given_by(
    images: ImageSet,
    source: str,
    size: Sequence[int] | None,
    fit: str | None,
    *,
    one_for_all: bool = False,
    alone: bool = True,
) -> ImageSet:
    """Images with the vectors or maps of a file or a folder.

    Rows, and arrays, go with the images in order; rows and pictures that name their images by name.

    Args:
        images: brought to their size already.
        source: see :func:`read_features`.
        size: what the images were brought to.
        fit: how: maps are treated alike.
        one_for_all: a file of one vector or map is for all images.
        alone: these are all images of the source, and not a part of them.

    Raises:
        DataError: a file that cannot be used, an image without a map, or another number of them.
    """
    found = read_features(at_home(source), size, fit)
    values, where = found.values, printable(Path(source).name)
    if found.files:
        values = values[_rows(found.files, images, where)]
    if one_for_all and len(values) == 1:
        values = values.expand(len(images), *values.shape[1:])
    elif not found.files:
        _check_order(images, where, alone)
    if len(values) != len(images):
        raise DataError(
            f"{where} holds {counted(len(values), 'condition')} for {counted(len(images), 'image')}",
            hint=NAMED if images.skipped else "",
        )
    if values.ndim == 4:
        values = fitted_maps(values, images.shape, fit, where)
    with named(f"{where}:"):
        return dataclasses.replace(images, condition=values, condition_names=found.names)


def _check_order(images: ImageSet, where: str, alone: bool) -> None:
    """Refuses, or warns of, conditions in order where images would be given those of others, in silence."""
    if images.packed or not alone:
        other = "was packed in another than its files'" if images.packed else "has several parts"
        raise DataError(f"{where} has conditions in order, but {images.name} {other}", hint=NAMED)
    by_bytes, by_numbers = sorted(images.names), sorted(images.names, key=natural)
    moved = [pair for pair in zip(by_bytes, by_numbers, strict=True) if len({*pair}) > 1]
    if moved and [*images.names] == by_bytes:
        words = "%s: conditions are taken in the order of names' bytes, %s before %s; if they are not, %s"
        log.warning(words, where, *moved[0], NAMED)


def read_features(
    path: Path, size: Sequence[int] | None = None, fit: str | None = None
) -> Features:
    """Vectors or maps from a file.

    Args:
        path: a table of parameters with a header (and perhaps a column ``name`` of images), an ``.npy`` of
            ``(n, d)``, ``(n, h, w)`` or ``(n, d, h, w)``, an ``.npz`` with one such array or ``condition``,
            a picture, or a folder of pictures: grey or RGB, as maps in [0, 1].
        size: height and width that pictures are brought to.
        fit: how.

    Raises:
        DataError: it is damaged, or holds something else.
    """
    where, suffix = printable(path.name), path.suffix.lower()
    if not is_there(path):
        raise missing(path)
    if path.is_dir() or suffix in SUFFIXES:
        return _pictures(path, size, fit)
    with named(where):
        if suffix in CONDITION_TABLES:
            return _table(path)
        if suffix in CONDITION_ARRAYS:
            return _array(path)
    raise DataError(
        f"{where} is no condition", hint="give .csv, .npy, .npz, a picture, or a folder of pictures"
    )


def fitted_maps(maps: Tensor, shape: ImageShape, fit: str | None, where: str) -> Tensor:
    """Maps ``(n, d, h, w)`` cropped about the centre as images are.

    Raises:
        DataError: they would have to be resized or padded; or of patches, cut as these are.
    """
    height, width = maps.shape[2:]
    if (height, width) == tuple(shape[1:]):
        return maps
    if fit in (None, "crop") and height >= shape.height and width >= shape.width:
        return cropped(maps, (shape.height, shape.width))
    raise DataError(
        f"{where}: maps of {height}x{width} do not fit images of {shape.height}x{shape.width}",
        hint="arrays of maps are cropped like images, never resized; a folder of pictures is resized, too",
    )


def _rows(files: tuple[str, ...], images: ImageSet, where: str) -> list[int]:
    """The row of each image, by its name."""
    if not images.names:
        raise DataError(
            f"{where} names the images that it belongs to, but those of {images.name} have no names",
            hint="store maps as .npy (n, d, h, w), parameters without a column of names",
        )
    known = {_stem(name): row for row, name in enumerate(files)}
    missing = [name for name in images.names if _stem(name) not in known]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{where} has nothing for {printable(missing[0])}{more}", hint="name it as the image"
        )
    if len(known) < len(files):
        raise DataError(f"{where} names an image twice")
    return [known[_stem(name)] for name in images.names]


def _stem(name: str) -> str:
    """A name without its suffix, with ``/`` between its parts."""
    plain = name.replace("\\", "/")
    head, dot, suffix = plain.rpartition(".")
    return head if dot and f".{suffix.lower()}" in SUFFIXES else plain


def _pictures(path: Path, size: Sequence[int] | None, fit: str | None) -> Features:
    """Pictures as maps in [0, 1]."""
    if fit == "patches":
        raise DataError(
            f"{printable(path.name)}: maps cannot follow patches", hint=f"another {typed('fit')}"
        )
    reading = Reading(size=as_size(size), fit=fit, source_levels=FULL, labels=False)
    files = find_images(path) if path.is_dir() else [ImageFile(path, path.name)]
    pictures = read_files(files, reading.of_pictures, name_of(path))
    maps = pictures.images[:].float() / (pictures.levels - 1)
    return Features(maps, files=pictures.names if path.is_dir() else ())


def _array(path: Path) -> Features:
    """The vectors or maps of an ``.npy`` or ``.npz`` file."""
    container = contained(path)
    if isinstance(container, Single) or len(container.names) == 1:
        key = container.names[0]
    elif (key := CONDITION) not in container.names:
        raise DataError(
            f"holds the arrays {brief(', '.join(container.names)) or 'none'}",
            hint=f"call the vectors or maps {CONDITION}",
        )
    values, names = whole(container[key]), stored_names(container)
    if not values.size:
        raise DataError("is empty")
    values = values[:, None] if values.ndim == 3 else values
    with named(f"{printable(path.name)}:"):
        return Features(condition_tensor(values, None, names), names)


def _table(path: Path) -> Features:
    """The columns of numbers of a table, and the names in its column of names; no column without a name."""
    lines = fields_of(path)
    if not (start := next(lines, None)):
        raise DataError("holds no rows of numbers")
    header, width = _header(path, start[1]), len(start[1])
    if header is not start[1]:
        lines = itertools.chain([start], lines)
    at = next((i for i, name in enumerate(header) if name.lower() in FILES), None)
    unnamed = {i for i, name in enumerate(header) if is_unnamed(name)} - {at}
    if unnamed:
        log.warning("%s: columns without a name are left out", printable(path.name))
    kept = [i for i in range(width) if i not in {at, *unnamed}]
    names = [header[i] for i in kept] if header else [str(i + 1) for i in kept]
    if len({*names}) != len(names):
        raise DataError("has two columns of one name")
    rows, files = list[list[float]](), list[str]()
    for number, fields in lines:
        if len(fields) != width:
            raise DataError(f"line {number}: {len(fields)} values instead of {width}")
        rows.append([_number(fields[i], number, name) for i, name in zip(kept, names, strict=True)])
        if at is not None:
            files.append(fields[at])
    if not rows or not kept:
        raise DataError("holds no rows of numbers")
    found = torch.tensor(rows, dtype=torch.float64)
    return Features(found, tuple(names) if header else (), tuple(files))


def _header(path: Path, first: list[str]) -> list[str]:
    """The names of the columns: the first fields, or a comment before them, as ``np.savetxt`` writes it."""
    if not all(map(is_number, first)):
        return first
    comment = next(lines_said(path)).comment.decode("utf-8", "backslashreplace")
    names = re.split(r"[,;\t ]+", comment.strip())
    return names if len(names) == len(first) and not any(map(is_number, names)) else []


def _number(field: str, line: int, column: str) -> float:
    """A finite number; errors name the line and the column."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(field)):
            return value
    shown = f"{brief(repr(field), 30)} in column {brief(column, 60)}"
    raise DataError(f"line {line}: {shown} is no finite number")
