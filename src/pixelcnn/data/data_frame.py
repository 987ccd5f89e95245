"""Tables in memory: one image a row, one column a pixel, as pandas, polars and Parquet have them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pixelcnn.data.arrays import from_values
from pixelcnn.data.columns import columns_of, pixel_shape
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.label_column import label_end
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts
from pixelcnn.memory import afford

FIRST = 5
"""Rows that say what the columns mean."""


def fits(source: Any) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return type(source).__name__ == "DataFrame" and hasattr(source, "columns")


def read(source: Any, reading: Reading) -> Parts:
    """A data frame; what a column means is said as in a table, see :func:`pixelcnn.data.table.read_table`.

    Raises:
        DataError: columns that make no image, or other values than levels.
    """
    series = (
        [each for _, each in source.items()] if hasattr(source, "items") else source.get_columns()
    )
    return {"all": of_columns(list(source.columns), series, reading, "data frame")}


def of_columns(
    names: Sequence[Any], columns: Sequence[Any], reading: Reading, where: str
) -> ImageSet:
    """Columns of one length as a set.

    Args:
        names: of the columns.
        columns: what NumPy makes arrays of.
        reading: how, with ``label_column``, ``condition``, ``layout`` and ``shape``.
        where: name of the set, and the start of every message.

    Raises:
        DataError: columns that make no image, or other values than levels.
    """
    arrays = [np.asarray(column) for column in columns]
    rows = [
        [str(value).lower() for value in row]
        for row in zip(*(a[:FIRST] for a in arrays), strict=True)
    ]
    found = columns_of([str(name).lower() for name in names], 1, reading, where, rows)
    pixels, label = [arrays[at] for at in found.pixels], found.label
    shape = pixel_shape(len(pixels) - found.undecided, reading, where)
    if found.undecided:
        highest = max(int(each.max(initial=0)) for each in pixels[1:-1])
        label = int(found.pixels[label_end(pixels[0], pixels[-1], highest, where)])
        pixels = [arrays[at] for at in found.pixels if at != label]
    settled = dataclasses.replace(reading, layout=reading.layout if len(shape) == 3 else "nhw")
    images = from_values(
        _together(pixels).reshape(-1, *shape),
        None if label is None else arrays[label],
        reading.source_levels,
        settled,
        where,
    )
    if not found.given:
        return images
    given = np.stack([arrays[at].astype(np.float64) for at in found.given], 1)
    return dataclasses.replace(
        images, condition=torch.from_numpy(given), condition_names=reading.condition
    )


def _together(columns: list[np.ndarray]) -> np.ndarray:
    """Columns beside each other; whole numbers of any size as bytes where they fit, as those of a file."""
    kind = np.result_type(*columns)
    if kind.kind in "iu" and kind.itemsize != 2 and all(_fit_bytes(each) for each in columns):
        kind = np.dtype(np.uint8)
    afford(len(columns) * len(columns[0]) * kind.itemsize)
    together = np.empty((len(columns[0]), len(columns)), kind)
    for at, column in enumerate(columns):
        together[:, at] = column
    return together


def _fit_bytes(values: np.ndarray) -> bool:
    return bool(values.min(initial=0) >= 0 and values.max(initial=0) < 256)
