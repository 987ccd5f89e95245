"""Annotations as rules: which values one takes, in which plain type, and what it says in words."""

import abc
import collections.abc
import dataclasses
import math
import os
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

MAX_TEXT = 4_096
"""Characters of a text; the longest path of Linux has as many."""
MAX_NUMBER = 1_000_000
"""Largest number that may stand for the text of its digits."""
SHOWN = 60
"""Characters of a value that a message shows."""

WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    Path: "a path",
    os.PathLike: "a path",
    type(None): "none",
}


class Unfit(Exception):
    """A value that an annotation does not take."""


class Rule(abc.ABC):
    """What an annotation asks of values beyond their type: ``value in rule``, in words ``str(rule)``."""

    @abc.abstractmethod
    def __contains__(self, value: Any) -> bool:
        """Whether it takes a value of the right type."""


@dataclasses.dataclass(frozen=True)
class Range(Rule):
    """The numbers that an option takes, to be written into its annotation.

    Args:
        low: the least of them.
        high: the largest of them.
        odd: only odd ones.
        below: without the largest one itself.

    Example:
        >>> 3 in Range(1, 7, odd=True), 4 in Range(1, 7, odd=True), 1.0 in Range(0, 1, below=True)
        (True, False, False)
    """

    low: float
    high: float
    odd: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        fits = self.low <= value <= self.high and not (self.odd and value % 2 == 0)
        return fits and not (self.below and value == self.high)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"equal to {self.low}"
        return f"from {self.low} to {'below ' * self.below}{self.high}"


def fitting(value: Any, kind: Any) -> Any:
    """A value that fits an annotation, in plain types: lists become tuples, NumPy's numbers Python's.

    Nothing is taken for something else: a boolean is no integer, nor is 3.0, and a number is no text.

    Args:
        value: as given.
        kind: of ``bool``, ``int``, ``float`` (finite; an integer will do), ``str`` (not empty), ``None``,
            ``Literal``, tuples, sequences, unions, classes, and ``Annotated`` with a :class:`Rule`; anything
            else takes all values.

    Raises:
        Unfit: the annotation does not take it.

    Example:
        >>> fitting(1, float), fitting([3, 5], tuple[int, ...]), fitting(32, Literal["auto", "32"])
        (1.0, (3, 5), '32')
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) in (0, 1):
        value = value.tolist()
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _within(fitting(value, members[0]), members[1:])
    if origin in (Union, types.UnionType):
        for member in members:
            try:
                return fitting(value, member)
            except Unfit:
                continue
        raise Unfit
    if origin is Literal:
        return choice(value, members)
    if origin in (tuple, collections.abc.Sequence):
        return _items(value, members, any_length=_any_length(origin, members))
    return _single(value, origin or kind)


def _single(value: Any, kind: Any) -> Any:
    """A value that fits a kind without members."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1023 else math.inf
    if isinstance(kind, type) and kind is not Any and not isinstance(value, kind):
        raise Unfit
    if isinstance(value, bool) and kind in (int, float):
        raise Unfit
    if kind is float and not math.isfinite(value):
        raise Unfit
    if kind is str and not 0 < len(value) <= MAX_TEXT:
        raise Unfit
    if isinstance(value, str | Path) and "\0" in str(value):
        raise Unfit  # no file is called so, and nothing else
    return value


def choice(value: Any, choices: Iterable[Any]) -> Any:
    """One of some choices; a number may stand for the text of its digits, since TOML writes it so.

    Raises:
        Unfit: it is none of them.
    """
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    for each in choices:
        given = str(value) if whole and isinstance(each, str) else value
        if type(given) is type(each) and given == each:
            return each
    raise Unfit


def _within(value: Any, rules: tuple[Any, ...]) -> Any:
    if any(isinstance(rule, Rule) and value not in rule for rule in rules):
        raise Unfit
    return value


def _any_length(origin: Any, members: tuple[Any, ...]) -> bool:
    return origin is not tuple or members[-1] is ...


def _items(value: Any, kinds: tuple[Any, ...], *, any_length: bool) -> tuple[Any, ...]:
    """Each item of a list in plain types; a text alone stands for a list of one."""
    if any_length and isinstance(value, str):
        value = (value,)
    if not isinstance(value, tuple | list) or not (any_length or len(value) == len(kinds)):
        raise Unfit
    each = (kinds[0],) * len(value) if any_length else kinds
    return tuple(fitting(item, kind) for item, kind in zip(value, each, strict=True))


def described(kind: Any) -> str:
    """What an annotation takes, in words.

    Example:
        >>> described(Annotated[int, Range(3, 63, odd=True)] | None), described(Literal["a", "b"])
        ('an odd integer from 3 to 63 or none', "one of 'a', 'b'")
    """
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        rules = [each for each in members[1:] if isinstance(each, Rule)]
        words = " ".join([described(members[0]), *map(str, rules)])
        odd = any(isinstance(rule, Range) and rule.odd for rule in rules)
        return words.replace("an int", "an odd int") if odd else words
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, members))
    if origin is Literal:
        return one_of(members)
    if origin in (tuple, collections.abc.Sequence):
        length = "" if _any_length(origin, members) else f" of {len(members)}"
        return f"a list{length}" + (
            f", each {described(members[0])}" if members[0] is not Any else ""
        )
    name = getattr(kind, "__name__", "value")
    return WORDS.get(origin or kind, f"{'an' if name[0] in 'AEIOU' else 'a'} {name}")


def one_of(choices: Iterable[Any]) -> str:
    """Choices in words.

    Example:
        >>> one_of((2,)), one_of(("a", "b"))
        ('2', "one of 'a', 'b'")
    """
    texts = [repr(each) for each in choices]
    return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"


def shown(value: object) -> str:
    """A value as messages show it: in one line, and what is long is cut.

    Example:
        >>> shown("x"), shown(10**9_999), shown("x" * 100)[-18:]
        ("'x'", 'an integer that is too long to show', '… (102 characters)')
    """
    try:
        text = repr(value)
    except Exception:  # of anybody's class, and of integers of thousands of digits
        return f"{WORDS.get(type(value), 'a value')} that is too long to show"
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
