"""Labels: the class of each image, as a number or as a word."""

import logging
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.annotations import shown
from pixelcnn.data.opening import brief, named
from pixelcnn.data.tensors import numbers_of
from pixelcnn.errors import DataError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

MAX_CLASSES = 65_536
"""Labels beyond are no classes: a network would need as many weights for them."""

OMITTED = "are left out with `pixelcnn train --set data.labels=false` (in Python labels=False)"
SEVERAL = f"an image has one; several are a condition (in Python condition=), or {OMITTED}"
"""What to do about more than one label an image, of which the first would be a wrong one."""


def labels_tensor(labels: Any, classes: tuple[str, ...] = ()) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as int64 ``(n,)``, checked, and the names of the classes.

    Words are numbered in the order of the classes, or else in their own, in which 2 comes before 10.

    Args:
        labels: integers, or words.
        classes: their names, if they are known.

    Raises:
        DataError: neither, or a word that is no class.

    Example:
        >>> labels_tensor(["dog", "cat", "dog"])
        (tensor([1, 0, 1]), ('cat', 'dog'))
    """
    words = _words(labels)
    if words is not None:
        found, numbers = np.unique(words, return_inverse=True)
        if len(found) and not (first := str(found[0])).strip():  # blanks come before all letters
            at = int((words == first).argmax())
            raise DataError(
                f"labels are words, that of image {at} is empty",
                hint=f"all labels {OMITTED}",
            )
        names = [printable(unicodedata.normalize("NFC", each)) for each in found.tolist()]
        classes = classes or tuple(sorted({*names}, key=natural))
        number = {name: index for index, name in enumerate(classes)}
        if unknown := [name for name in names if name not in number]:
            raise DataError(f"no class is called {unknown[0]!r}, only {brief(', '.join(classes))}")
        labels = np.array([number[name] for name in names], np.int64)[numbers]
    return integers(labels), classes


def known_labels(labels: Sequence[Any], places: Sequence[int], where: str) -> list[Any] | None:
    """Labels of the images at some places; None if all of them lack one, as -1 of the Hub says.

    Raises:
        DataError: some images have labels, others not; or :func:`labels_tensor` does not take them.
    """
    if all(label in (None, -1) for label in labels):
        return None
    if None in labels:
        raise DataError(
            f"{where}: item {labels.index(None)} has no label, others have one",
            hint=f"all labels {OMITTED}",
        )
    kept = [labels[at] for at in places]
    with named(f"{where}:"):
        labels_tensor(kept)
    return kept


def _words(labels: Any) -> np.ndarray | None:
    """Labels that are words as an array of them; None if they are something else.

    Raises:
        DataError: some are words and others are not.
    """
    listed = isinstance(labels, list | tuple)
    if isinstance(labels, Tensor) or not (listed or hasattr(labels, "dtype")):
        return None
    found = np.asarray(labels, object if listed else None)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.dtype.kind == "S":
        found = np.char.decode(found, "utf-8", "backslashreplace")
    if found.dtype.kind == "O" and found.ndim == 1 and len(found):
        others = [at for at, each in enumerate(found) if not isinstance(each, str)]
        if others and len(others) < len(found):
            raise DataError(
                f"labels are words, that of image {others[0]} is {shown(found[others[0]])}"
            )
        found = found if others else found.astype(str)
    return found if found.dtype.kind == "U" and found.ndim == 1 else None


def integers(labels: Any) -> Tensor:
    """Labels that are integers as int64 ``(n,)``.

    Raises:
        DataError: of another shape, no integers, or none that count classes.
    """
    tensor = numbers_of(labels, "labels are integers (n,)")
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.ndim != 1 or tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        kind = str(tensor.dtype).removeprefix("torch.")
        hints = {1: "make integers of them: labels.astype(int)", 2: SEVERAL}
        if tensor.ndim == 2 and ((tensor != 0).sum(1) == 1).all():
            hints[2] = "one-hot: labels.argmax(1)"
        raise DataError(
            f"labels are integers (n,), got {kind} {tuple(tensor.shape)}",
            hint=hints.get(tensor.ndim, ""),
        )
    found = tensor.to(torch.int64)
    if found.numel():
        low, high = int(found.min()), int(found.max())
        if low < 0:
            raise DataError(f"labels count from 0, got {low}")
        if high >= MAX_CLASSES:
            raise DataError(f"labels count up to {MAX_CLASSES - 1}, got {high}")
    return found


def tell_of_numbers(classes: Sequence[str], known: Sequence[str], where: str) -> None:
    """One line where labels have names on one side alone, so that only their numbers can be compared."""
    names = [*(classes or known)]
    if bool(classes) != bool(known) and names != [*map(str, range(len(names)))]:
        numbers, words = ("training", "these") if classes else ("these", "training")
        shown = brief(", ".join(f"{number} {name}" for number, name in enumerate(names)))
        log.warning(
            "%s: labels of %s are numbers, of %s words, taken for %s", where, numbers, words, shown
        )


def natural(name: str) -> tuple[list[int | bytes], bytes]:
    """A key by which 2 comes before 10, and -1 before 1."""
    pieces = ["", name, ""] if re.fullmatch("-[0-9]+", name) else re.split(r"([0-9]+)", name)
    return [int(p) if at % 2 else os.fsencode(p) for at, p in enumerate(pieces)], os.fsencode(name)
