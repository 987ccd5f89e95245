"""Which data a model is scored on, brought to levels as its training data were."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelcnn import data
from pixelcnn.config import check_choice
from pixelcnn.errors import ConfigError

if TYPE_CHECKING:
    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel

SPLITS = ("train", "val", "test", "all")
CODING = ("threshold", "binarise", "rgb")
"""Keys of a training record that say how pixels become levels: they hold for other data, too."""
GEOMETRY = ("size", "fit")
"""Keys that say how images get the model's size."""


def split_of(
    model: "PixelModel",
    source: str | None,
    split: str,
    own: dict[str, Any],
    folder: str,
) -> "ImageSet":
    """The part of a data set that a model is evaluated on.

    Args:
        model: its record says what it was trained on.
        source: a data set, or None for the recorded one.
        split: ``train``, ``val``, ``test`` or ``all``.
        own: options for own data, see :func:`preparation`.
        folder: where the model came from; the recipe of a run folder knows paths in full.

    Raises:
        ConfigError: no such split, or no data to be found.
        DataError: data that are missing or damaged.
    """
    check_choice("--split", split, SPLITS)
    if source is not None:
        arguments = preparation(model, **own)
    else:
        arguments = trained_on(model, folder) | {k: v for k, v in own.items() if v}
        source = arguments.pop("name")
    if split == "all":
        arguments.pop("split", None)
        arguments.pop("test", None)
        return data.load_all(source, **arguments)
    images: ImageSet = getattr(data.load(source, **arguments), split)
    return images


def trained_on(model: "PixelModel", folder: str) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give a model's training data again.

    Raises:
        ConfigError: the model does not say, or its data are not here.
    """
    recorded = dict(model.record.get("data") or {})
    name = recorded.get("name")
    if name is None:
        raise ConfigError("this model does not say what it was trained on", hint="give --data")
    if name in data.DATASETS or Path(name).exists():
        return recorded
    recipe = Path(folder) / "recipe.toml"
    if recipe.is_file():
        from pixelcnn.training import recipe as recipes

        return dict(recipes.parse(recipe.read_text(encoding="utf-8"), "of the run").data)
    raise ConfigError(
        f"this model was trained on {name}, which is not here", hint="say where with --data"
    )


def preparation(
    model: "PixelModel",
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    layout: str | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give other data the model's levels and shape.

    Args:
        model: its record says how pixels became levels.
        size: height and width to bring images to; by default what the training data were brought to.
        fit: how; by default as the training data.
        layout: order of an array's axes.
        skip_bad: leave out files that cannot be read.
    """
    recorded = model.record.get("data") or {}
    arguments = {key: recorded[key] for key in CODING + GEOMETRY if recorded.get(key) is not None}
    if not {"threshold", "binarise"} & set(arguments):
        arguments["levels"] = model.levels
    given = {"size": size, "fit": fit, "layout": layout, "skip_bad": skip_bad or None}
    arguments |= {key: value for key, value in given.items() if value is not None}
    return arguments | {"shape": tuple(model.shape)}
