"""Tables in memory, as pandas, polars and Parquet have them: one image a row, in one column or in many."""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.data import assignment, cells, items
from pixelcnn.data.arrays import from_rows
from pixelcnn.data.columns import FIRST, columns_of
from pixelcnn.data.features import STORED, content_of
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.keys import named_condition
from pixelcnn.data.label_column import label_end, place, whole_numbers
from pixelcnn.data.opening import brief, named
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.picture_list import MOST_ALIKE
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.stored import Single
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

WHERE = "data frame"
"""The name of a set that was made of one."""
LABEL = "label"
"""What labels are called that come beside a frame."""
UNSAID = ("object", "str", "Str", "List")
"""How the types of columns begin, in pandas and polars, that do not say what stands in them."""


def fits(source: Any) -> bool:
    """Whether something is a data frame of pandas or polars."""
    return type(source).__name__ == "DataFrame" and hasattr(source, "columns")


def read(source: Any, reading: Reading, labels: Any = None) -> ImageSet:
    """A data frame: what a column means is said as in a table, unless one holds images.

    See :func:`pixelcnn.data.table.read_table`, and :func:`pixelcnn.data.items.read` for images.

    Args:
        source: the frame.
        reading: how.
        labels: one of each row, if the frame is of images alone.

    Raises:
        DataError: columns that make no image, or other values than levels.
    """
    columns = source.items() if hasattr(source, "items") else source.to_dict().items()
    names = list(map(str, source.columns))
    short = {name: 0 if name == reading.key else len(names) for name in names}
    series = [_values(each, short[str(name)]) for name, each in columns]
    axes = {name: _axes(each, short[name]) for name, each in zip(names, series, strict=True)}
    images = [name for name in names if axes[name]]
    if labels is not None:
        if LABEL in map(str.lower, names):
            raise DataError(
                f"{WHERE} has labels of its own, and others beside it", hint="leave one out"
            )
        reading = dataclasses.replace(reading, label_column=LABEL)
        names, series = [*names, LABEL], [*series, np.reshape(labels, -1)]
    if not images and reading.key is not None:
        raise DataError(
            f"{WHERE} has no column of images called {brief(reading.key, 60)}",
            hint=f"columns: {brief(', '.join(names))}",
        )
    if not images:
        _refuse_names(names, series)
        with named(WHERE):
            return of_columns(names, series, reading, WHERE)
    if len(images) > 1 and reading.key is None:
        raise DataError(
            f"{WHERE} has {len(images)} columns of images ({brief(', '.join(images))})",
            hint=f"say which: {typed('key')}",
        )
    key = reading.key or images[0]
    read_them = _of_rows if axes.get(key) == 1 else _of_images
    return read_them(names, series, dataclasses.replace(reading, key=key))


def _refuse_names(names: list[str], series: list[Any]) -> None:
    """Says of a column that names pictures how these are read, unless others are called like pixels."""
    alike = Counter(re.sub(r"\d+", "0", name) for name in names)
    for name, column in zip(names, series, strict=True):
        first = str(next(iter(column), "")).lower()
        if first.endswith(tuple(SUFFIXES)) and max(alike.values()) <= MOST_ALIKE:
            raise DataError(
                f"{WHERE} names pictures in column {brief(name, 60)}, and holds none",
                hint="frame.to_csv('list.csv', index=False) in their folder writes a list that is read",
            )


@named(WHERE)
def _of_rows(names: list[str], series: list[Any], reading: Reading) -> ImageSet:
    """Images that are lists of pixels, as if each pixel had a column."""
    at = names.index(str(reading.key))
    pixels = items.stacked(series[at])
    if isinstance(pixels, list):
        raise DataError(f"{WHERE}: images of column {names[at]} differ in shape")
    names = cells.names_of(names, at, len(names) - 1 + pixels.shape[1])
    return of_columns(names, [*series[:at], *pixels.T, *series[at + 1 :]], reading, WHERE)


def _of_images(names: list[str], series: list[Any], reading: Reading) -> ImageSet:
    """Images that are files, or arrays of several axes."""
    rows = (dict(zip(names, row, strict=True)) for row in zip(*series, strict=True))
    found = [items.told(row, reading, WHERE) for row in rows]
    lower = [name.lower() for name in names]
    given = [series[place(lower, name.lower(), WHERE)] for name in reading.condition]
    images = _conditioned(items.set_of(found, reading, WHERE), given, reading)
    first = list(itertools.islice(zip(*series, strict=True), FIRST))
    asked = {at for at, name in enumerate(lower) if name == reading.label_column}
    split = assignment.assigning(lower, first, asked)
    parts = [assignment.assigned(list(series[at]), WHERE) for at in split]
    return dataclasses.replace(images, assigned=next(iter(parts), None))


def _values(column: Any, short: int) -> Any:
    """A column as it is, unless its type does not say what stands in it: files, numbers, lists or cells."""
    values = column.to_list() if str(column.dtype).startswith(UNSAID) else []
    first = next((each for each in values if each is not None), None)
    if isinstance(first, list):
        return values
    if isinstance(first, Mapping) and first.keys() & STORED:
        return [*map(content_of, values)]
    counts = [len(cells.numbers_in(each)) for each in values[:FIRST] if isinstance(each, str)]
    if max(counts, default=0) > short:
        return [cells.array_of(str(each), f"{WHERE}: row {at}") for at, each in enumerate(values)]
    numbers = values and all(type(each) in (int, float) for each in values)
    return np.array(values) if numbers else column


def _axes(column: Any, short: int) -> int:
    """How many axes the images of a column have: files two, numbers, words and short lists none.

    Short is what has no more numbers than a row has columns, see :func:`pixelcnn.data.cells.place`; in the
    column that is asked for nothing is.
    """
    first: Any = next(iter(column), 0)
    if isinstance(first, bytes | Path):
        return 2
    axes = np.ndim(first)
    return axes if axes > 1 or (axes and len(first) > short) else 0


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
    pixels = [arrays[at] for at in found.pixels]
    labels = None if found.label is None else arrays[found.label]
    if found.undecided:  # whose type, of a label among them, is not that of the pixels
        labels = whole_numbers(pixels.pop(label_end(_together(pixels), where)))
    labels = labels if reading.labels else None
    images = from_rows(_together(pixels), labels, reading, where)
    parts = [assignment.assigned(arrays[at].tolist(), where) for at in found.said]
    images = dataclasses.replace(images, assigned=next(iter(parts), None))
    return _conditioned(images, [arrays[at] for at in found.given], reading)


def _conditioned(images: ImageSet, columns: Sequence[Any], reading: Reading) -> ImageSet:
    """Images with the columns that they are given besides, if there are some."""
    arrays = dict(zip(reading.condition, map(np.asarray, columns), strict=True))
    with named(images.name):
        given, names = named_condition(Single(**arrays), reading.condition, len(images))
    return dataclasses.replace(images, condition=given, condition_names=names)


def _together(columns: list[np.ndarray]) -> np.ndarray:
    """Columns beside each other; whole numbers of any size as bytes where they fit, as those of a file."""
    kind = np.result_type(*columns)
    if kind.kind in "iu" and kind.itemsize != 2 and all(_fit_bytes(each) for each in columns):
        kind = np.dtype(np.uint8)
    afford(len(columns) * len(columns[0]) * kind.itemsize)
    return np.column_stack([column.astype(kind, copy=False) for column in columns])


def _fit_bytes(values: np.ndarray) -> bool:
    return bool(values.min(initial=0) >= 0 and values.max(initial=0) < 256)
