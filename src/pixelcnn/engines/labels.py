"""What a network makes of the label alone, with any function of PyTorch: a table of all classes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, fx

from pixelcnn.engines.sizes import FEATURES, IMAGES, LAST, SECOND, Size, Value
from pixelcnn.program import Program, Unlowerable


class OfLabel(NamedTuple):
    """What a network makes of the label alone: ``(1 + classes, ...)``, as of a batch of all classes.

    The last class stands first as well, so that what mixes the labels of a batch is no table of classes.
    """

    table: Tensor

    def __repr__(self) -> str:
        return f"what is made of the label, {tuple(self.table.shape[1:])} for each class"


def members(values: Any) -> list[Any]:
    """Values, and what they hold."""
    found: list[Any] = []
    for value in values:
        inside = isinstance(value, tuple) and not isinstance(value, Value | OfLabel)
        found += members(value) if inside else [value]
    return found


def tabulate(function: Callable[..., Any], args: Any, kwargs: Any, label: OfLabel) -> Any:
    """What a function makes of the label, for each class."""
    given = [_for_all_classes(value, len(label.table)) for value in args]
    named = {key: _for_all_classes(value, len(label.table)) for key, value in kwargs.items()}
    found = function(*given, **named)
    return fx.node.map_aggregate(found, lambda x: OfLabel(x) if isinstance(x, Tensor) else x)


def beside(program: Program, made: OfLabel, like: Value, label: OfLabel, widen: bool) -> Value:
    """What was made of the label as a value beside another one, the same at all positions.

    Args:
        program: that it becomes a part of.
        made: of the label.
        like: the other one.
        label: itself.
        widen: one feature is as many as the other one has.
    """
    table = made.table.movedim(-1, 1) if like.places == LAST else made.table
    places = {4: (SECOND, LAST), 2: ((IMAGES, FEATURES),)}.get(table.ndim, ())
    if like.places not in places or any(size != 1 for size in table.shape[2:]):
        raise Unlowerable(f"{tuple(table.shape)} of the label beside features (n, f, h, w)")
    if len(table) != len(label.table):
        raise Unlowerable("what is made of the label is not one of each image")
    width = program.width(like.number) if table.shape[1] == 1 and widen else table.shape[1]
    weight = table[1:].flatten(1).expand(-1, width).to(program.like)
    return Value(program.condition("label", weight.contiguous()), like.places)


def _for_all_classes(value: Any, classes: int) -> Any:
    """A batch of all classes, on one position, as an argument."""
    if isinstance(value, OfLabel):
        return value.table
    if isinstance(value, Size):
        return classes if value.place == IMAGES else 1
    if isinstance(value, tuple):
        return tuple(_for_all_classes(part, classes) for part in value)
    return value
