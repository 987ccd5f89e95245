"""Tables in memory, as pandas, polars and Parquet have them: one image a row, in one column or in many."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelcnn.data import cells, items
from pixelcnn.data.arrays import from_rows
from pixelcnn.data.columns import FIRST, columns_of
from pixelcnn.data.features import content_of
from pixelcnn.data.gate import brief
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.label_column import label_end
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.splits import Parts
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

WHERE = "data frame"
"""The name of a set that was made of one."""
UNSAID = ("object", "str", "Str", "List")
"""How the types of columns begin, in pandas and polars, that do not say what stands in them."""


def fits(source: Any) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return type(source).__name__ == "DataFrame" and hasattr(source, "columns")


def read(source: Any, reading: Reading) -> Parts:
    """A data frame: what a column means is said as in a table, unless one holds images.

    See :func:`pixelcnn.data.table.read_table`, and :func:`pixelcnn.data.items.read` for images.

    Raises:
        DataError: columns that make no image, or other values than levels.
    """
    columns = source.items() if hasattr(source, "items") else source.to_dict().items()
    series = [_values(each) for _, each in columns]
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
    if axes.get(str(named.key)) == 1:
        at = names.index(str(named.key))
        pixels = items.stacked(series[at])
        if isinstance(pixels, list):
            raise DataError(f"{WHERE}: images of column {names[at]} differ in shape")
        names = cells.names_of(names, at, len(names) - 1 + pixels.shape[1])
        series[at : at + 1] = pixels.T
        return {"all": of_columns(names, series, reading, WHERE)}
    rows = (dict(zip(names, row, strict=True)) for row in zip(*series, strict=True))
    found = [items.told(row, named, WHERE) for row in rows]
    return {"all": items.set_of(found, (), named, WHERE)}


def _values(column: Any) -> Any:
    """A column as it is, unless its type does not say what stands in it: files, numbers, lists or cells."""
    values = column.to_list() if str(column.dtype).startswith(UNSAID) else []
    first = next(iter(values), None)
    if isinstance(first, list):
        return values
    if isinstance(first, Mapping):
        return [_bytes_of(each) for each in values]
    if isinstance(first, str) and cells.numbers_in(first):
        return [cells.array_of(str(each), WHERE) for each in values]
    numbers = values and all(type(each) in (int, float) for each in values)
    return np.array(values) if numbers else column


def _bytes_of(file: Any) -> bytes:
    """The content of a file, as a dataset of Hugging Face has them."""
    found = content_of(file)
    return found.read_bytes() if isinstance(found, Path) else found


def _axes(column: Any) -> int:
    """How many axes the first value of a column has; those of a number or a word are none, of a file two."""
    first = next(iter(column), 0)
    return 2 if isinstance(first, bytes) else np.ndim(first)


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
    if found.undecided:
        highest = max(int(each.max(initial=0)) for each in pixels[1:-1])
        label = int(found.pixels[label_end(pixels[0], pixels[-1], highest, where)])
        pixels = [arrays[at] for at in found.pixels if at != label]
    labels = None if label is None else arrays[label]
    images = from_rows(_together(pixels), labels, reading.source_levels, reading, where)
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
