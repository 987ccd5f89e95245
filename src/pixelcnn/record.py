"""What a model file may say of how its weights came to be.

A record is written by the trainer, and read wherever a model is used. What stands in a file may come from
anybody: so each key that something reads is of the type that its readers expect, or the file is refused.
Keys that nobody reads yet are kept as they are.
"""

import json
from collections.abc import Mapping
from typing import Any

from pixelcnn.checks import (
    COUNT,
    EDGES,
    MOST,
    SIDE,
    Check,
    ascending,
    file_name,
    flag,
    listing,
    number,
    optional,
    rule,
    sides,
    table,
    text,
)
from pixelcnn.errors import ModelError
from pixelcnn.shapes import MAX_LEVELS


def checked(record: object) -> dict[str, Any]:
    """A record whose known keys hold what they ought to.

    Args:
        record: in JSON types.

    Returns:
        The record, without those arguments of its data that no data set takes.

    Raises:
        ModelError: names the key and what it must be.

    Example:
        >>> checked({"steps": 900, "data": {"name": "digits", "root": "/etc"}, "later": [1]})
        {'steps': 900, 'data': {'name': 'digits'}, 'later': [1]}
        >>> checked({"steps": "many"})
        Traceback (most recent call last):
        pixelcnn.errors.ModelError: record.steps must be an integer from 0 to 9223372036854775808, got 'many'
    """
    found: dict[str, Any] = table(RECORD)("record", record)
    return found


def as_json(record: object) -> dict[str, Any]:
    """A record in the types that it has after it was written and read.

    Raises:
        ModelError: see :func:`checked`; or it cannot be written as JSON.

    Example:
        >>> as_json({"classes": ("cat", "dog")})
        {'classes': ['cat', 'dog']}
    """
    try:
        plain = json.loads(json.dumps(record, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the record of this model cannot be written: {error}",
            hint="model.record holds JSON types, and finite numbers",
        ) from error
    return checked(plain)


UNSAID = "unsaid"
"""The binarisation of levels of which nobody says how they came about, as those of an array."""
GIVEN, ONE_EACH = "levels as given", ", one value in each"
"""Levels that nothing was done to; and the end of what is said of bins that nothing is lost in."""


def coding(binarisation: str, quantisation: str) -> str:
    """How levels came about, in words; of dynamic binarisation any draw is the same coding.

    Example:
        >>> coding("dynamic, seed 0", "none"), coding("none", "256 -> 8 equal bins"), coding("fixed", "none")
        ('binarisation dynamic', '256 -> 8 equal bins', 'levels as given')
    """
    kind = "" if binarisation in ("none", "fixed", UNSAID) else f"binarisation {binarisation}"
    ways = (kind.partition(",")[0], "" if quantisation == "none" else quantisation)
    return ", ".join(filter(None, ways)) or GIVEN


def agree(one: str, other: str) -> bool:
    """Whether levels that came about in these ways compare: bins of one value each keep levels as given.

    Example:
        >>> bins = "256 -> 8 equal bins"
        >>> agree(GIVEN, bins), agree(GIVEN, bins + ONE_EACH), agree(bins, bins + ONE_EACH)
        (False, True, True)
    """
    first, second = ({each, each.removesuffix(ONE_EACH)} for each in (one, other))
    lossless = one.endswith(ONE_EACH) or other.endswith(ONE_EACH)
    return bool(first & second) or (lossless and GIVEN in first | second)


def classes_seen(record: Mapping[str, Any], classes: int) -> list[int]:
    """The classes that images were trained on, of those that a model counts: labels may have gaps.

    Example:
        >>> classes_seen({"classes_seen": [1, 2]}, 3), classes_seen({}, 3)
        ([1, 2], [0, 1, 2])
    """
    seen = [label for label in record.get("classes_seen") or () if label < classes]
    return seen or list(range(classes))


PARTS = ("train", "val", "test")
CONDITIONS = tuple(f"{part}_condition" for part in PARTS)

BINS: dict[str, Check] = {
    "edges": EDGES,
    "levels": number(2, MAX_LEVELS, whole=True),
    "real": flag,
}
"""What is said of :class:`pixelcnn.data.Bins`; two edges are a range that equal bins divide."""

DATA: dict[str, Check] = {
    "name": file_name,
    "test": file_name,
    "levels": number(2, MAX_LEVELS, whole=True),
    "threshold": number(0, 1),
    "binarise": text,
    "quantise": rule,
    "rgb": flag,
    "grey": flag,
    "split": text,
    "size": sides,
    "fit": text,
    "layout": text,
    "skip_bad": flag,
    "shape": listing(SIDE, 3),
    "source_levels": number(2, MAX_LEVELS, whole=True),
    "labels": flag,
    "key": text,
    "condition": listing(text, MAX_LEVELS),
    "usual_levels": number(2, MAX_LEVELS, whole=True),
    "picture_levels": number(2, MAX_LEVELS, whole=True),
}
"""Arguments of :func:`pixelcnn.data.load` that a file may give."""

VALIDATION: dict[str, Check] = {
    "nats_per_image": number(),
    "stderr": optional(number(0)),  # nothing of a single image
    "bits_per_dim": number(),
    "images": COUNT,
    "precision": text,
}

TAGS: dict[str, Check] = {
    "transformations": listing(text, 8),
    "count": number(1, MAX_LEVELS, whole=True),
}

RECORD: dict[str, Check] = {
    "recipe": text,
    "data": table({key: optional(check) for key, check in DATA.items()}, strict=True),
    "split": table(dict.fromkeys(PARTS, text)),
    "images": table(dict.fromkeys(PARTS, COUNT)),
    "content_hash": table(dict.fromkeys((*PARTS, *CONDITIONS), text)),
    "binarisation": text,
    "quantisation": text,
    "bins": optional(table(BINS, strict=True, needs=("edges", "levels"))),
    "skipped": COUNT,
    "levels": number(2, MAX_LEVELS, whole=True),
    "source_levels": number(2, MAX_LEVELS, whole=True),
    "picture_levels": optional(number(2, MAX_LEVELS, whole=True)),
    "classes": listing(text, MAX_LEVELS),
    "classes_seen": listing(COUNT, MAX_LEVELS),
    "seed": COUNT,
    "augmentation": text,
    "tags": table(TAGS, needs=("count",)),
    "training": table({}),
    "versions": table({}),
    "steps": COUNT,
    "epochs": number(0, MOST),
    "images_seen": COUNT,
    "validation": table(VALIDATION, needs=("nats_per_image", "stderr", "bits_per_dim")),
    "validation_quantiles": ascending(10_001),
    "activation_ranges": listing(number(0), 100_000),
    "integer_precision": text,
    "integer_loss": number(),
    "weights": text,
    "fingerprint": text,
}
"""What is known of a record's keys."""
RECORD["parent"] = table(RECORD)  # that of the model from which a training went on
