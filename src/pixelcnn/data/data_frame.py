"""Tables in memory, as pandas, polars and Parquet have them: one image a row, in one column or in many."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pixelcnn.data import items
from pixelcnn.data.arrays import from_values
from pixelcnn.data.columns import FIRST, columns_of, pixel_shape
from pixelcnn.data.gate import brief
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.items import Item
from pixelcnn.data.label_column import label_end
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.splits import Parts
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

WHERE = "data frame"
"""The name of a set that was made of one."""


def fits(source: Any) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return type(source).__name__ == "DataFrame" and hasattr(source, "columns")


def read(source: Any, reading: Reading) -> Parts:
    """A data frame: what a column means is said as in a table, unless one holds images.

    See :func:`pixelcnn.data.table.read_table`, and :func:`pixelcnn.data.items.read` for images.

    Raises:
        DataError: columns that make no image, or other values than levels.
    """
    series = (
        [each for _, each in source.items()] if hasattr(source, "items") else source.get_columns()
    )
    names = list(map(str, source.columns))
    axes = {name: _axes(each) for name, each in zip(names, series, strict=True)}
    images = [name for name in names if axes[name]]
    if not images:
        return {"all": of_columns(names, series, reading, WHERE)}
    if len(images) > 1 and reading.key is None:
        raise DataError(
            f"{WHERE} has {len(images)} columns of images ({brief(', '.join(images))})",
            hint=f"say which: {typed('key')}",
        )
    named = dataclasses.replace(reading, key=reading.key or images[0])
    rows = (dict(zip(names, row, strict=True)) for row in zip(*series, strict=True))
    found = [items.told(row, named, WHERE) for row in rows]
    if axes.get(str(named.key)) == 1:
        pixels = np.stack([each.image for each in found])
        shape = pixel_shape(pixels.shape[1], reading, WHERE)
        found = [
            Item(image.reshape(shape), label)
            for image, (_, label) in zip(pixels, found, strict=True)
        ]
    return {"all": items.set_of(found, (), named, WHERE)}


def _axes(column: Any) -> int:
    """How many axes the first value of a column has; those of a number or a word are none, of a file two."""
    first = column[:1].to_list() if hasattr(column, "to_list") else []
    if not first:
        return 0
    return 2 if isinstance(first[0], bytes) else np.ndim(first[0])


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
