"""The column of a table that assigns each image to a part of a split, as many published sets have one."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.files import PARTS
from pixelcnn.data.opening import brief

log = logging.getLogger("pixelcnn")

NAMES = ("split", "usage", "subset", "set", "phase", "partition")
"""What such a column is called."""
WORDS = {word: part for part, words in PARTS.items() for word in words} | {
    "publictest": "val",  # FER-2013
    "privatetest": "test",
}
"""What stands in it, in letters of any case."""
NUMBERS = {"0": "train", "1": "val", "2": "test"}
"""What stands in CelebA's, and in others that are called like it."""
NUMBERED = "partition"
"""What it is called there."""


def assigning(
    fields: Sequence[str], rows: Sequence[Sequence[str]], taken: Collection[int] = ()
) -> tuple[int, ...]:
    """Where such a column stands, if there is one.

    Args:
        fields: names of the columns.
        rows: the fields of some rows, each of which must be a part.
        taken: columns that are something else.

    Example:
        >>> assigning(["file", "Split"], [["a.png", "Train"]]), assigning(["split", "y"], [["left", "1"]])
        ((1,), ())
    """
    named = [at for at, name in enumerate(fields) if name.lower() in NAMES and at not in taken]
    said = {at: [row[at] for row in rows if at < len(row)] for at in named if rows}
    numbered = {at for at in named if fields[at].lower() == NUMBERED}
    found = [at for at in said if all(_parts(said[at], numbers=at in numbered))]
    return tuple(found) if len(found) == 1 else ()


def assigned(values: Sequence[Any], where: str) -> Tensor | None:
    """The part of each image, as its place among train, val and test: int64 ``(n,)``.

    None, with a line that says why, unless some are to train on and others are not, and each is a part.

    Args:
        values: of the column.
        where: start of the line.

    Example:
        >>> assigned(["Training", "PublicTest", "Training"], "faces.csv").tolist()
        [0, 1, 0]
    """
    parts = _parts(values, numbers=True)
    counts = Counter(parts)
    if "" in counts:
        other = brief(str(values[parts.index("")]), 20)
        log.warning("%s: its column of parts is left out, for it says %r, too", where, other)
        return None
    present = [part for part in PARTS if part in counts]
    if "train" not in counts or len(counts) < 2:
        log.info("%s: its column of parts is left out: all is %s", where, " or ".join(present))
        return None
    said = ", ".join(f"{counts[part]:,} {part}" for part in present)
    log.info("%s: split as its column of parts says: %s", where, said)
    order = list(PARTS)
    return torch.from_numpy(np.array([order.index(part) for part in parts]))


def _parts(values: Sequence[Any], *, numbers: bool) -> list[str]:
    """The part that each value says; empty for one that says none. All may be numbers, if they may."""
    plain = [str(value).strip().lower() for value in values]
    known = NUMBERS if numbers and all(map(str.isdecimal, plain)) else WORDS
    return [known.get(value, "") for value in plain]
