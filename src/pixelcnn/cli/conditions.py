"""Class labels on the command line."""

import dataclasses
import unicodedata
from typing import TYPE_CHECKING

from pixelcnn.annotations import shown
from pixelcnn.cli import options
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.record import classes_seen
from pixelcnn.registry import closest

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel


def labels(model: "PixelModel", label: str | None, count: int) -> list[int] | None:
    """The classes of ``count`` images: the one asked for, or in turn every one that was trained on.

    Returns:
        None for a model without condition.

    Raises:
        ConfigError: a label that the model does not know, or for a model without classes.
        ModelError: a model whose condition is no class; the command line cannot give it.
    """
    condition = model.network.condition
    if label is not None:
        return [chosen(model, label)] * count
    if condition is None:
        return None
    if condition != "label":
        raise ModelError(
            f"this model is conditioned on a {condition}, which the command line cannot give",
            hint="use pixelcnn.sample or pixelcnn.complete in Python with condition=…",
        )
    seen = classes_seen(model.record, model.network.condition_size)
    return [seen[index % len(seen)] for index in range(count)]


def taken_as(model: "PixelModel", images: "ImageSet", label: str | None) -> "ImageSet":
    """Images that all count as the class asked for; without one, as they come.

    Raises:
        ConfigError: a label that the model does not know, or for a model without classes.
    """
    if label is None:
        return images
    import torch

    every = torch.full((len(images),), chosen(model, label))
    return dataclasses.replace(images, labels=every, classes=())


def chosen(model: "PixelModel", label: str) -> int:
    """The class that ``--label`` asks for.

    Raises:
        ConfigError: a label that the model does not know, or for a model without classes.
    """
    if model.network.condition != "label":
        raise ConfigError(
            "this model is not class-conditional, so there is no --label to choose",
            hint="train one with a recipe that has labels, such as gated-mnist-labels",
        )
    return class_number(label, model.network.condition_size, class_names(model))


def class_names(model: "PixelModel") -> list[str]:
    """What the classes are called; empty when the training data had no names."""
    names = model.record.get("classes")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def class_number(label: str, classes: int, names: list[str]) -> int:
    """The number of a class given by its name, or by its number where no name is a number.

    Example:
        >>> class_number("coat", 10, ["shirt", "Coat"]), class_number("3", 10, [])
        (1, 3)
        >>> class_number("2", 3, ["1", "2", "10"])
        1
    """
    exact, folded = ([_folded(name, case) for name in names] for case in (False, True))
    for known, wanted in ((exact, _folded(label, False)), (folded, _folded(label, True))):
        if wanted in known:
            return known.index(wanted)
    number, numbers = options.number(label), [options.number(name) for name in names]
    if number >= 0 and numbers.count(number) == 1:
        return numbers.index(number)  # such as 1 for a class called 01
    counted = max(numbers, default=-1) < 0
    if counted and 0 <= number < classes:
        return number
    hint = ", or ".join(filter(None, (f"0 to {classes - 1}" if counted else "", ", ".join(names))))
    raise ConfigError(
        f"no class called {shown(label)}.{closest(_folded(label, True), folded)}",
        hint=f"known: {hint}",
    )


def _folded(name: str, case: bool) -> str:
    """A name to compare: however its accents are composed, and perhaps in whatever case."""
    plain = unicodedata.normalize("NFC", name)
    return plain.casefold() if case else plain


def tensor(classes: list[int] | None) -> "Tensor | None":
    """Class numbers as the condition ``(n,)`` of a model."""
    if classes is None:
        return None
    import torch

    return torch.tensor(classes, dtype=torch.long)
