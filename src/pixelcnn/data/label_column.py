"""Which column of a table holds the labels."""

import logging
import re

import numpy as np

from pixelcnn.data.layout import square_of
from pixelcnn.data.opening import brief
from pixelcnn.data.reading import LABELS, Reading, typed
from pixelcnn.errors import DataError
from pixelcnn.registry import closest

log = logging.getLogger("pixelcnn")

MOST_CLASSES = 1_000
"""Values above are not taken for classes unless a name says so."""
INDEX_NAMES = frozenset(("id", "index", "imageid", "image_id"))
UNNAMED = re.compile(r"unnamed: ?\d+(\.\d+)?|__index_level_\d+__")
"""What pandas calls a column without a name, such as the index of the table it had read before, or wrote."""


def is_unnamed(name: str) -> bool:
    """Whether a column has no name, as the index that pandas writes."""
    return not name or UNNAMED.fullmatch(name.lower()) is not None


def is_index(name: str) -> bool:
    """Whether a column counts the rows, by its name, or has none."""
    return name.lower() in INDEX_NAMES or is_unnamed(name)


def label_places(
    fields: list[str], wanted: str | None, where: str, reading: Reading | None = None
) -> list[int]:
    """Places of the label columns by their names, or of the one asked for; an index is no first or last.

    Args:
        fields: names of the columns.
        wanted: ``first``, ``last``, ``none``, a name, or None for the usual ones.
        where: start of a message.
        reading: how the other columns become images: what is called like an index is none if they do.
    """
    if wanted is None:
        return [at for at, name in enumerate(fields) if name in LABELS]
    if wanted in fields or wanted not in {"first", "last", "none"}:
        return [place(fields, wanted, where)]
    everywhere = [*range(len(fields))]
    places = [at for at in everywhere if not is_index(fields[at])] or everywhere
    if reading and not is_image(len(places) - 1, reading) and is_image(len(fields) - 1, reading):
        places = everywhere
    return {"first": places[:1], "last": places[-1:]}.get(wanted, [])


def place(fields: list[str], name: str, where: str) -> int:
    """Where a column of a name stands."""
    if name in fields:
        return fields.index(name)
    raise DataError(
        f"{where} has no column called {brief(name)}.{closest(name, fields)}",
        hint=f"columns: {brief(', '.join(fields))}",
    )


def has_label(count: int, reading: Reading) -> bool:
    """Whether a row without a header has one number more than an image."""
    return not is_image(count, reading) and is_image(count - 1, reading)


def is_image(count: int, reading: Reading) -> bool:
    """Whether so many numbers are an image of the model, or without one a square image."""
    if reading.shape is not None:
        return count == reading.shape.dimensions
    return square_of(count) is not None


def label_end(values: np.ndarray, where: str) -> int:
    """Which of some columns holds the classes: 0 for the first, -1 for the last.

    Classes are few, counted from 0 or 1 without gaps, and each is about as frequent as the others; a pixel
    in a corner has many values, or nearly always the same.

    Args:
        values: ``(n, d)``.
        where: start of a message.

    Raises:
        DataError: both could be.

    Example:
        >>> label_end(np.array([[0, 16, 1], [0, 7, 0]] * 2), "digits.csv")
        -1
    """
    highest = values[:, 1:-1].max(initial=0)
    rank, common, beyond = {}, {}, {}
    for end in (0, -1):
        column = whole_numbers(values[:, end])
        counts = np.unique(column, return_counts=True)[1]
        common[end] = float(counts.max(initial=0)) / max(len(column), 1)
        rank[end] = _class_rank(column, common[end])
        beyond[end] = rank[end] > 0 and bool(column.max(initial=0) > highest)
    likely = [
        end
        for end, other in ((0, -1), (-1, 0))
        if rank[end]
        and beyond[end] >= beyond[other]
        and (
            rank[end] > rank[other]
            or beyond[end] > beyond[other]
            or 2 * common[end] <= common[other]
        )
    ]
    if len(likely) != 1:
        raise DataError(
            f"{where}: a row has one number more than an image, and either the first or the last could be "
            "its class",
            hint=f"say {typed('label_column')} first or last, or name it `label` in a header line",
        )
    name = "last" if likely[0] else "first"
    log.warning("%s: no header names a label, the %s column is taken for it", where, name)
    return likely[0]


def whole_numbers(labels: np.ndarray) -> np.ndarray:
    """Labels in a table of real numbers as integers, if they are."""
    if labels.dtype.kind != "f":
        return labels
    whole = (labels == np.floor(labels)) & (labels >= 0) & (labels <= 65_535)
    return labels.astype(np.int64) if whole.all() else labels


def _class_rank(values: np.ndarray, common: float) -> int:
    """2 for values that count classes without gaps, 1 for a few, 0 for those that cannot be classes."""
    if values.dtype.kind == "f":
        return 0
    distinct = np.unique(values).astype(np.int64)
    if not 2 <= len(distinct) <= len(values) / 2 or distinct[-1] > MOST_CLASSES:
        return 0
    if common > min(0.75, 2 / len(distinct)):
        return 0
    return 2 if distinct[0] <= 1 and distinct[-1] - distinct[0] + 1 == len(distinct) else 1
