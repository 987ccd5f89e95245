"""The columns of a dataset of Hugging Face: which hold images and labels, and what stands in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.data import cells
from pixelcnn.data.columns import FIRST
from pixelcnn.data.label_column import label_places
from pixelcnn.data.opening import brief
from pixelcnn.data.reading import LABELS, Reading, typed
from pixelcnn.errors import DataError

KINDS = ("Image", "array", "bytes", "pixels")
"""Of columns of images, those first that are surer to be."""
FEWEST = 4
"""Columns of numbers that may be the pixels of an image."""
STORED = {"bytes", "path"}
"""What an image is made of in a file."""
NONE = (
    "a column of pictures (Image, or the bytes of files) or of lists of numbers is needed,"
    " or one column a pixel"
)
"""What to do where no column can be one of images."""


def image_column(features: Any, reading: Reading, where: str) -> str:
    """The column of images: the one that is asked for, or the only one of its kind."""
    kinds = {name: kind_of(features[name]) for name in features}
    found = [[name for name in kinds if kinds[name] == kind] for kind in KINDS]
    known = next(filter(None, found), [])
    if reading.key is not None:
        if not kinds.get(reading.key):
            raise DataError(
                f"{where} has no column of images called {reading.key}",
                hint=f"those it has: {', '.join(filter(kinds.get, kinds)) or 'none'}",
            )
        return reading.key
    if len(known) != 1:
        shown = brief(", ".join(f"{name}: {features[name]}" for name in features), 300)
        raise DataError(
            f"{where} has {len(known) or 'no'} columns of images ({shown})",
            hint=f"say which: {typed('key')}" if known else NONE,
        )
    return known[0]


def label_column(features: Any, reading: Reading, where: str) -> str | None:
    """The column of labels: the one asked for, the only ``ClassLabel``, or one with a usual name."""
    wanted = reading.label_column
    if not reading.labels or wanted == "none":
        return None
    if wanted is not None:
        return [*features][label_places([*map(str.lower, features)], wanted, where)[0]]
    classes = [name for name in features if type(features[name]).__name__ == "ClassLabel"]
    if len(classes) > 1:
        raise DataError(
            f"{where} has several columns of labels: {', '.join(classes)}",
            hint=f"say which, or none: {typed('label_column')}",
        )
    usual = {
        name: str(getattr(features[name], "dtype", ""))
        for name in features
        if name.lower() in LABELS
    }
    numbers, words = ([name for name in usual if kind in usual[name]] for kind in ("int", "string"))
    return next(iter(classes or numbers or words), None)


def kind_of(feature: Any) -> str:
    """``Image``, ``array``, ``bytes`` for what may be files, ``pixels`` for rows of numbers, or empty.

    Other programs that wrote a Parquet file again have dropped what said that a column is one of images: then
    its values are still those of an ``Image``.
    """
    name = type(feature).__name__
    stored = isinstance(feature, Mapping) and {*feature} == STORED
    if stored or name in {"Image", "Array2D", "Array3D"}:
        return "Image" if stored or name == "Image" else "array"
    if getattr(feature, "dtype", "") in {"binary", "large_binary"}:
        return "bytes"
    depth = 0
    while type(feature).__name__ in {"List", "LargeList", "Sequence"}:
        feature, depth = feature.feature, depth + 1
    kinds = {1: "pixels" if _is_number(feature) else "", 2: "array", 3: "array"}
    return kinds.get(depth, "") if type(feature).__name__ == "Value" else ""


def is_flat(dataset: Any) -> bool:
    """Whether there are columns of single values alone, and so many numbers that each may be a pixel.

    The bytes of files are images, whatever is told of them beside; so are lists, unless they are shorter than
    a row of the table.
    """
    known = dataset.features
    short = {name for name, length in _lengths(dataset).items() if length <= len(known)}
    single = all(
        type(known[each]).__name__ in {"Value", "ClassLabel"} and not kind_of(known[each])
        for each in known.keys() - short
    )
    return single and sum(map(_is_number, known.values())) >= FEWEST


def _lengths(dataset: Any) -> dict[str, int]:
    """How many numbers the first lists of a dataset hold, by their columns."""
    known = dataset.features
    lists = [name for name in known if kind_of(known[name]) == "pixels"]
    first = dataset.select_columns(lists)[:1] if lists else {}
    return {name: len(each) for name in first for each in first[name][:1] if each is not None}


def texts_of(dataset: Any) -> dict[str, list[Any]]:
    """What stands in the first rows of its columns of texts."""
    known = dataset.features
    names = [name for name in known if "string" in str(getattr(known[name], "dtype", ""))]
    return dataset.with_format(None).select_columns(names)[:FIRST] if names else {}


def holds_cells(dataset: Any, key: str | None) -> bool:
    """Whether texts in its first rows are images, see :mod:`pixelcnn.data.cells`.

    Those of the column that is asked for; else of any, unless another column is one of images.
    """
    known, short = dataset.features, 0
    if key is None:
        short, lengths = len(known), _lengths(dataset)
        images = (name for name in known if kind_of(known[name]))
        if any(lengths.get(name, short + 1) > short for name in images):
            return False
    asked = (texts for name, texts in texts_of(dataset).items() if key in (None, name))
    said = (each for texts in asked for each in texts if each is not None)
    return any(len(cells.numbers_in(each)) > short for each in said)


def _is_number(feature: Any) -> bool:
    return re.match("u?int|float", str(getattr(feature, "dtype", ""))) is not None


def array_of(column: Any) -> Any:
    """Nested lists of numbers as an array.

    Raises:
        DataError: lists of different lengths, or without values.
    """
    array = column.combine_chunks()
    array = getattr(array, "storage", array)
    shape = [len(array)]
    while hasattr(array, "flatten") and array.type.num_fields:
        flat = array.flatten()
        if array.null_count or len(flat) % max(len(array), 1) or _ragged(array):
            raise DataError("images differ in shape")
        shape.append(len(flat) // max(len(array), 1))
        array = flat
    if array.null_count:
        raise DataError("values are missing")
    return np.array(array.to_numpy(zero_copy_only=False)).reshape(shape)  # its own memory


def _ragged(lists: Any) -> bool:
    """Whether lists have different lengths."""
    from pyarrow import compute

    return len(compute.unique(compute.list_value_length(lists))) > 1


def content_of(value: Any) -> Any:
    """What an encoded picture is read of: its bytes, or a local file; no bytes where it is missing.

    Anything else is itself, as an array.
    """
    if not isinstance(value, Mapping):
        return b"" if value is None else value
    if value.get("bytes") is None and value.get("path"):
        return Path(value["path"])
    return value.get("bytes") or b""
