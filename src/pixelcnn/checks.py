"""Checks of what a file may say, in JSON types: each gives the value back as it may be used.

>>> number(0, 9, whole=True)("record.steps", 3)
3
>>> listing(text, most=2)("record.classes", ["cat", 7])
Traceback (most recent call last):
pixelcnn.errors.ModelError: record.classes[1] must be a text of at most 4,096 characters, got 7
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pixelcnn.errors import ModelError
from pixelcnn.shapes import MAX_LEVELS, MAX_SIDE

LONGEST = 4_096
"""Characters of a text."""
MOST = 2**63
"""Of what is counted."""
LARGEST = 1e18
"""Of what is measured: more nats than any image has."""
FARTHEST = 1e300
"""Of the values of images, whatever their unit."""

Check = Callable[[str, Any], Any]
"""Gives a value of a key back as it may be used, or raises :class:`ModelError`."""


def text(name: str, value: Any) -> Any:
    """Characters, not too many of them."""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise _unlike(name, value, f"a text of at most {LONGEST:,} characters")
    return value


def file_name(name: str, value: Any) -> Any:
    """A name of a data set, or the last part of a path: a model chooses no folders.

    What is no named set but called like one has ``./`` before it.
    """
    plain = text(name, value).removeprefix("./")
    hub = re.fullmatch(r"hf:[\w.:-]+(/[\w.:-]+){0,2}", plain)  # of a dataset on a hub of them
    if not hub and any(separator in plain for separator in "/\\\0"):
        raise _unlike(name, value, "a name, not a path")
    return value


def flag(name: str, value: Any) -> Any:
    """True or false."""
    if not isinstance(value, bool):
        raise _unlike(name, value, "true or false")
    return value


def number(low: float = -LARGEST, high: float = LARGEST, *, whole: bool = False) -> Check:
    """A number in a range; with ``whole`` an integer."""
    kinds = int if whole else int | float

    def check(name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            kind = "an integer" if whole else "a number"
            raise _unlike(name, value, f"{kind} from {low} to {high}")
        return value

    return check


def optional(check: Check) -> Check:
    """What ``check`` wants, or nothing."""
    return lambda name, value: None if value is None else check(name, value)


def listing(check: Check, most: int) -> Check:
    """At most so many values, each of which is what ``check`` wants."""

    def every(name: str, value: Any) -> Any:
        if not isinstance(value, list) or len(value) > most:
            raise _unlike(name, value, f"a list of at most {most:,} values")
        return [check(f"{name}[{index}]", item) for index, item in enumerate(value)]

    return every


def ascending(most: int, largest: float = LARGEST) -> Check:
    """At most so many numbers, none of them below the one before."""

    def check(name: str, value: Any) -> Any:
        numbers = listing(number(-largest, largest), most)(name, value)
        if numbers != sorted(numbers):
            raise _unlike(name, value, "numbers in ascending order")
        return numbers

    return check


def rule(name: str, value: Any) -> Any:
    """How measured values become levels: a word, or edges of bins."""
    return EDGES(name, value) if isinstance(value, list) else text(name, value)


def sides(name: str, value: Any) -> Any:
    """A side of an image, two of them, or both as text."""
    if isinstance(value, list):
        return listing(SIDE, 2)(name, value)
    return text(name, value) if isinstance(value, str) else SIDE(name, value)


def table(known: Mapping[str, Check], *, strict: bool = False, needs: Sequence[str] = ()) -> Check:
    """An object whose known keys hold what they ought to.

    Args:
        known: what each key holds.
        strict: leave out all others.
        needs: keys that it must have.
    """

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, dict):
            raise _unlike(name, value, "an object")
        for key in needs:
            if key not in value:
                raise ModelError(f"{name} lacks {key}")
        return {
            key: known[key](f"{name}.{key}", item) if key in known else item
            for key, item in value.items()
            if key in known or not strict
        }

    return check


def _unlike(name: str, value: Any, wanted: str) -> ModelError:
    shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return ModelError(f"{name} must be {wanted}, got {shown[:60]}")


SIDE = number(1, MAX_SIDE, whole=True)
COUNT = number(0, MOST, whole=True)
EDGES = ascending(MAX_LEVELS + 1, FARTHEST)
