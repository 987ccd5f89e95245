"""What images are given on the command line: class labels, see also :mod:`pixelcnn.cli.features`."""

import dataclasses
from typing import TYPE_CHECKING, Any

from pixelcnn.annotations import shown
from pixelcnn.cli import features, words
from pixelcnn.errors import ConfigError
from pixelcnn.record import classes_seen
from pixelcnn.registry import closest
from pixelcnn.registry import known as known_names
from pixelcnn.statistics import is_single
from pixelcnn.text import place

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel


SHOWN = 30
"""Classes that a message lists."""


def given(
    model: "PixelModel", label: str | None, condition: str | None, count: int | None
) -> features.Conditions:
    """What to draw from a model, and how many images: by default every class that was trained on in turn.

    Args:
        model: conditional or not.
        label: what ``--label`` says.
        condition: what ``--condition`` says.
        count: what ``-n`` says.

    Raises:
        ConfigError: what the model does not take, or nothing where it needs something.
        DataError: a file that cannot be used.
    """
    if model.network.condition in ("vector", "map") or condition is not None:
        if label is not None:
            chosen(model, label)  # which says that there are no classes
        return features.given(model, condition, count)
    import torch

    from pixelcnn.data import tags

    count, own = count or features.ALONE, tags.of(model)
    if label is None and own.kind is None:
        return features.Conditions(None, count, facts={"labels": None})
    seen = classes_seen(model.record, own.size) if label is None else [chosen(model, label)]
    classes = [seen[index % len(seen)] for index in range(count)]
    return features.Conditions(torch.tensor(classes), count, facts={"labels": classes})


def taken_as(
    model: "PixelModel", images: "ImageSet", label: str | None, condition: str | None = None
) -> "ImageSet":
    """Images that all count as the class, or are given the condition, asked for; without, as they come.

    Raises:
        ConfigError: a label or a condition that the model does not know or take.
        DataError: a file of conditions that cannot be used.
    """
    if condition is not None:
        return features.taken_as(model, images, condition)
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
    from pixelcnn.data import tags

    own = tags.of(model)
    if own.kind != "label":
        raise ConfigError(
            "this model is not class-conditional, so there is no --label to choose",
            hint="say what it is given with --condition"
            if own.kind
            else "train one with a recipe that has labels, such as gated-mnist-labels",
        )
    number = class_number(label, own.size, class_names(model))
    seen = classes_seen(model.record, own.size)
    if number not in seen:
        raise ConfigError(
            f"the model has seen no image of class {shown(label)} in training",
            hint=f"it has seen {', '.join(map(str, seen[:SHOWN]))}{', …' * (len(seen) > SHOWN)}",
        )
    return number


def class_names(model: "PixelModel") -> list[str]:
    """What the classes are called; empty when the training data had no names."""
    return [*(model.record.get("classes") or ())]


def class_number(label: str, classes: int, names: list[str]) -> int:
    """The number of a class given by its name, or by its number where no name is a number.

    Example:
        >>> class_number("coat", 10, ["shirt", "Coat"]), class_number("3", 10, [])
        (1, 3)
        >>> class_number("2", 3, ["1", "2", "10"])
        1
    """
    if (found := place(label, names)) is not None:
        return found
    number, numbers = words.number(label), [words.number(name) for name in names]
    if number >= 0 and numbers.count(number) == 1:
        return numbers.index(number)  # such as 1 for a class called 01
    counted = max(numbers, default=-1) < 0
    if counted and 0 <= number < classes:
        return number
    said = known_names(label, names) if names else ""
    hint = ", or ".join(filter(None, (f"0 to {classes - 1}" if counted else "", said)))
    raise ConfigError(
        f"no class called {shown(label)}.{closest(label.casefold(), [n.casefold() for n in names])}",
        hint=hint,
    )


def as_arrays(
    model: "PixelModel", condition: "Tensor | None", count: int, each: int = 1
) -> dict[str, Any]:
    """What images were drawn of, as arrays for an ``.npz``: a set of data that can be trained on.

    Args:
        model: of the images.
        condition: of all of them, or of each.
        count: conditions.
        each: images of each condition.
    """
    from pixelcnn.data import tags

    kind = tags.of(model).kind
    if condition is None or kind is None:
        return {}
    if kind == "label":
        return {"labels": condition.repeat_interleave(each, 0).numpy()}
    import numpy as np

    values = condition.expand(count, *condition.shape) if is_single(condition) else condition
    values = values.repeat_interleave(each, 0) if each > 1 else values
    names = () if model.statistics is None else model.statistics.names
    named = {"condition_names": np.array(names)} if names else {}
    return {"condition": values.numpy(), **named}
