"""Which data a model is scored on, brought to levels as its training data were."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixelcnn import data, record
from pixelcnn.cli.console import say
from pixelcnn.config import check_choice
from pixelcnn.errors import ConfigError

if TYPE_CHECKING:
    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel

PARTS = ("train", "val", "test", "all")
CODING = ("threshold", "binarise", "rgb")
"""Keys of a training record that say how pixels become levels: they hold for other data, too."""
GEOMETRY = ("size", "fit")
"""Keys that say how images get the model's size."""

SETTINGS = ("name", "levels", "threshold", "binarise", "rgb", "labels", "split", "fit")
"""Keys of a training record that say what was trained on, beside the size."""


def split_of(
    model: "PixelModel",
    source: str | None,
    split: str,
    own: Mapping[str, Any],
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
    check_choice("--split", split, PARTS)
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

    A model file may come from anybody, so it chooses a named data set and nothing else; where own data are
    is a matter of the recipe that a run folder holds.

    Raises:
        ConfigError: the model does not say, or its data have no name.
    """
    settings = recorded(model)
    name = settings.get("name")
    if name in data.DATASETS:
        return settings
    from pixelcnn.training.run import RunFolder

    run = RunFolder(folder)
    if run.recipe.is_file():
        found = dict(run.stored().data)
        say(f"measuring on {found.get('name')}, as the recipe of the run says")
        return found
    if name is None:
        raise ConfigError("this model does not say what it was trained on", hint="give --data")
    raise ConfigError(
        f"this model was trained on {name}, which is no named data set",
        hint="say where it is with --data",
    )


def recorded(model: "PixelModel") -> dict[str, Any]:
    """What a model's record says of its training data; the size is the model's own.

    Records of files are checked when they are read, see :mod:`pixelcnn.record`.
    """
    found = model.record.get("data", {})
    kept = {key: found[key] for key in SETTINGS if found.get(key) is not None}
    return kept | ({"size": tuple(model.shape[1:])} if found.get("size") else {})


def preparation(
    model: "PixelModel",
    size: tuple[int, int] | None = None,
    fit: str | None = None,
    layout: str | None = None,
    skip_bad: bool = False,
    source_levels: int | None = None,
) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give other data the model's levels and shape.

    Args:
        model: its record says how pixels became levels.
        size: height and width to bring images to; by default what the training data were brought to.
        fit: how; by default as the training data.
        layout: order of an array's axes.
        skip_bad: leave out files that cannot be read.
        source_levels: how many levels the stored values of an array or a table have; by default as many
            as those of the training data.
    """
    settings = recorded(model)
    arguments = {key: settings[key] for key in CODING + GEOMETRY if key in settings}
    if not {"threshold", "binarise"} & set(arguments):
        arguments["levels"] = model.levels
    arguments["usual_levels"] = record.source_levels(model.record, model.levels)
    given = {
        "size": size,
        "fit": fit,
        "layout": layout,
        "skip_bad": skip_bad or None,
        "source_levels": source_levels,
    }
    arguments |= {key: value for key, value in given.items() if value is not None}
    return arguments | {"shape": tuple(model.shape)}
