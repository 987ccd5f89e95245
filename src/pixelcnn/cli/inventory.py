"""What the package offers, found without loading any data."""

import inspect
from typing import Any

import torch

from pixelcnn import engines
from pixelcnn.config import arguments
from pixelcnn.data import ImageSet, Splits
from pixelcnn.data.reading import as_size, condition_names
from pixelcnn.data.sets import FACTS, OWN
from pixelcnn.engines import Engine
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS, PixelCNN
from pixelcnn.outputs import OUTPUTS, Bernoulli


def stand_in(
    table: dict[str, Any], size: tuple[int, int] | None = None, kind: str | None = None
) -> ImageSet:
    """One blank image with the shape, levels, classes and condition of a recipe's data.

    Args:
        table: the recipe's ``[data]``.
        size: height and width instead of those that the recipe or the data set has.
        kind: of condition that the network takes: a vector or a map is of the features that the table names,
            else of one.

    Example:
        >>> blank = stand_in({"name": "mnist", "levels": 8, "rgb": True})
        >>> blank.shape.channels, blank.shape.height, blank.levels
        (3, 28, 8)
    """
    name = str(table.get("name", "own data"))
    channels, height, width, levels, classes, _ = FACTS.get(name, OWN)
    levels = table.get("source_levels") or levels
    height, width = size or as_size(table.get("size")) or (height, width)
    if table.get("rgb") or table.get("grey"):
        channels = 3 if table.get("rgb") else 1
    if table.get("threshold") or table.get("binarise"):
        levels = 2
    levels = min(levels, table.get("levels") or levels)
    names = condition_names(table.get("condition"))
    given = (1, len(names) or 1, *((height, width) if kind == "map" else ()))
    return ImageSet(
        torch.zeros(1, channels, height, width, dtype=torch.uint8),
        levels=levels,
        labels=torch.zeros(1, dtype=torch.int64) if classes else None,
        classes=tuple(map(str, range(classes))),
        condition=torch.zeros(given) if kind in ("vector", "map") else None,
        name=name,
    )


def engine() -> Engine:
    """The engine that an ordinary model runs on here, and why."""
    network = PixelCNN(channels=1, out=1, width=8, depth=1)
    return engines.choose(PixelModel(network, Bernoulli(), (1, 5, 7)))


def kinds(name: str) -> list[str]:
    """What a name stands for, models aside.

    Example:
        >>> kinds("digits"), kinds("bernoulli"), kinds("nothing")
        (['recipe', 'data set'], ['output'], [])
    """
    return [kind for kind, names in named().items() if name in names]


def named() -> dict[str, list[str]]:
    """Every name that comes with the package but those of models, by what it stands for."""
    from pixelcnn.training import recipe as recipes

    return {
        "recipe": recipes.names(),
        "network": list(NETWORKS),
        "output": list(OUTPUTS),
        "data set": list(FACTS),
    }


def dataset(name: str) -> dict[str, Any]:
    """A named data set in JSON types; it need not be here.

    Example:
        >>> dataset("cifar-10")["shape"]
        [3, 32, 32]
    """
    facts = FACTS[name]
    return {
        "kind": "data set",
        "name": name,
        "shape": [facts.channels, facts.height, facts.width],
        "levels": facts.levels,
        "classes": facts.classes,
        "images": dict(zip(Splits._fields, facts.images, strict=True)),
    }


def part(name: str) -> dict[str, Any] | None:
    """A network or output by name; None if there is none of that name.

    Example:
        >>> part("bernoulli")["kind"], part("nothing")
        ('output', None)
    """
    for registry in (NETWORKS, OUTPUTS):
        if name in list(registry):
            kind: type = registry[name]
            about = (inspect.getdoc(kind) or "").split("\n", maxsplit=1)[0]
            values = {
                key: "required" if parameter.default is parameter.empty else parameter.default
                for key, parameter in arguments(kind).items()
            }
            return {"kind": registry.kind, "name": name, "about": about, "arguments": values}
    return None
