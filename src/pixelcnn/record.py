"""What a model file may say of how its weights came to be.

A record is written by the trainer, and read wherever a model is used. What stands in a file may come from
anybody: so each key that something reads is of the type that its readers expect, or the file is refused.
Keys that nobody reads yet are kept as they are.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pixelcnn.annotations import Range, Rule, Unfit, described, fitting, shown
from pixelcnn.errors import ModelError
from pixelcnn.shapes import MAX_LEVELS, MAX_SIDE

FARTHEST = 1e300
"""Of the values of images, whatever their unit."""


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
    return _checked("record", record, RECORD)


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


class Table(NamedTuple):
    """An object whose known keys hold what they ought to.

    Attributes:
        known: an annotation for each key, see :func:`pixelcnn.annotations.fitting`, or a table.
        strict: leave out all others.
        needs: keys that it must have.
        optional: it may be nothing at all.
    """

    known: dict[str, Any]
    strict: bool = False
    needs: tuple[str, ...] = ()
    optional: bool = False


def _checked(name: str, value: Any, kind: Any) -> Any:
    """A value of a key as it may be used."""
    if isinstance(kind, Table):
        if value is None and kind.optional:
            return None
        known = kind.known
        kept = {k: v for k, v in _fit(name, value, dict).items() if k in known or not kind.strict}
        for key in kind.needs:
            if key not in kept:
                raise ModelError(f"{name} lacks {key}")
        return {k: _checked(f"{name}.{k}", v, known.get(k, Any)) for k, v in kept.items()}
    return _fit(name, value, kind)


def _fit(name: str, value: Any, kind: Any) -> Any:
    """The value itself, in the type of JSON that it has."""
    try:
        if not isinstance(fitting(value, kind), tuple) or isinstance(value, list):
            return value
    except Unfit:
        pass
    raise ModelError(f"{name} must be {described(kind)}, got {shown(value)}")


class Ascending(Rule):
    """Numbers none of which is below the one before."""

    def __contains__(self, value: Any) -> bool:
        return list(value) == sorted(value)

    def __str__(self) -> str:
        return "in ascending order"


class NoPath(Rule):
    """A name of a data set, or the last part of a path: a model chooses no folders.

    What is no named set but called like one has ``./`` before it.
    """

    def __contains__(self, value: Any) -> bool:
        plain = value.removeprefix("./")
        hub = re.fullmatch(r"hf:[\w.:-]+(/[\w.:-]+){0,2}", plain)  # of a dataset on a hub of them
        return bool(hub) or not any(separator in plain for separator in "/\\")

    def __str__(self) -> str:
        return "that is a name, not a path"


TEXT = str | Literal[""]
NAME = Annotated[TEXT, NoPath()]
NUMBER = Annotated[float, Range(-1e18, 1e18)]  # more nats than any image has
COUNT = Annotated[int, Range(0, 2**63)]
LEVELS = Annotated[int, Range(2, MAX_LEVELS)]
SIDE = Annotated[int, Range(1, MAX_SIDE)]
EDGES = Annotated[tuple[Annotated[float, Range(-FARTHEST, FARTHEST)], ...], Ascending()]

PARTS = ("train", "val", "test")
CONDITIONS = tuple(f"{part}_condition" for part in PARTS)

BINS = Table(
    {"edges": EDGES, "levels": LEVELS, "real": bool},
    strict=True,
    needs=("edges", "levels"),
    optional=True,
)
"""What is said of :class:`pixelcnn.data.Bins`; two edges are a range that equal bins divide."""

DATA: dict[str, Any] = {
    "name": NAME,
    "test": NAME,
    "levels": LEVELS,
    "threshold": Annotated[float, Range(0, 1)],
    "binarise": TEXT,
    "quantise": TEXT | EDGES,
    "rgb": bool,
    "grey": bool,
    "split": TEXT,
    "size": SIDE | TEXT | tuple[SIDE, ...],
    "fit": TEXT,
    "layout": TEXT,
    "skip_bad": bool,
    "shape": tuple[SIDE, ...],
    "source_levels": LEVELS,
    "labels": bool,
    "key": TEXT,
    "condition": tuple[TEXT, ...],
    "usual_levels": LEVELS,
    "picture_levels": LEVELS,
}
"""Arguments of :func:`pixelcnn.data.load` that a file may give."""

VALIDATION = Table(
    {
        "nats_per_image": NUMBER,
        "stderr": Annotated[float, Range(0, 1e18)] | None,  # nothing of a single image
        "bits_per_dim": NUMBER,
        "images": COUNT,
        "precision": TEXT,
    },
    needs=("nats_per_image", "stderr", "bits_per_dim"),
)

TAGS = Table(
    {"transformations": tuple[TEXT, ...], "count": Annotated[int, Range(1, MAX_LEVELS)]},
    needs=("count",),
)

RECORD = Table(
    {
        "recipe": TEXT,
        "data": Table({key: kind | None for key, kind in DATA.items()}, strict=True),
        "split": Table(dict.fromkeys(PARTS, TEXT)),
        "images": Table(dict.fromkeys(PARTS, COUNT)),
        "content_hash": Table(dict.fromkeys((*PARTS, *CONDITIONS), TEXT)),
        "binarisation": TEXT,
        "quantisation": TEXT,
        "bins": BINS,
        "skipped": COUNT,
        "levels": LEVELS,
        "source_levels": LEVELS,
        "picture_levels": LEVELS | None,
        "classes": tuple[TEXT, ...],
        "classes_seen": tuple[COUNT, ...],
        "seed": COUNT,
        "augmentation": TEXT,
        "tags": TAGS,
        "training": Table({}),
        "versions": Table({}),
        "steps": COUNT,
        "epochs": Annotated[float, Range(0, 2**63)],
        "images_seen": COUNT,
        "validation": VALIDATION,
        "validation_quantiles": Annotated[tuple[NUMBER, ...], Ascending()],
        "activation_ranges": tuple[Annotated[float, Range(0, 1e18)], ...],
        "integer_precision": TEXT,
        "integer_loss": NUMBER,
        "weights": TEXT,
        "fingerprint": TEXT,
    }
)
"""What is known of a record's keys."""
RECORD.known["parent"] = RECORD  # that of the model from which a training went on
