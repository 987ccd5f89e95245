"""Which images a command gives to a model."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pixelcnn import data, physical, sources
from pixelcnn.cli.conditions import taken_as
from pixelcnn.cli.console import say
from pixelcnn.cli.options import Given
from pixelcnn.conditioning import condition_of
from pixelcnn.config import check_choice
from pixelcnn.data.tensors import evenly
from pixelcnn.data.values import ARRAY
from pixelcnn.errors import ConfigError
from pixelcnn.text import printable

if TYPE_CHECKING:
    from pixelcnn.data import ImageSet, Splits
    from pixelcnn.model import PixelModel


def together(
    model: "PixelModel", sets: Sequence["ImageSet"], limit: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """The levels ``(n, c, h, w)`` of several sets, and what they are given to a model with.

    With a limit no more images than that, evenly spread.

    Raises:
        DataError, ModelError: images of another size than the model's, or without what it needs.
    """
    images = torch.cat([model.check(each.images).cpu() for each in sets])
    found = [found for each in sets if (found := condition_of(model, each)) is not None]
    given = torch.cat(found) if found else None
    if limit is not None:
        some = evenly(len(images), limit)
        images, given = images[some], None if given is None else given[some]
    return images, given


def images_for(
    model: "PixelModel", source: str | None, own: Given, split: str = "all", folder: str = ""
) -> "ImageSet":
    """Images that count as the class, or are given the condition, that is said; else as they come.

    Args:
        model: its record says what it was trained on.
        source: a data set, a part of a named one such as ``mnist:test``, or None for the recorded one.
        own: how own data are to be read, and what all images are given.
        split: ``train``, ``val``, ``test`` or ``all``.
        folder: where the model came from; the recipe of a run folder knows paths in full.

    Raises:
        ConfigError: no such split, or no data to be found.
        DataError: data that are missing or damaged.
        ModelError: levels that are not the model's.
    """
    source, split = in_part(source, split)
    check_choice("--split", split, sources.PARTS)
    asked = own.asked()
    if source is None:
        images = _recorded(model, split, sources.given_of(asked), folder)
    else:
        if split == "test" and source not in data.DATASETS:
            say(
                "measuring on the part to test, a tenth of what is in one piece: --split all takes all"
            )
        options = sources.beside(own.condition or own.label, source, asked)
        images = sources.set_of(model, source, split, options)
    return taken_as(model, images, own.label, own.condition)


def in_part(source: str | None, split: str) -> tuple[str | None, str]:
    """A named data set without the part that its name says, and that part; others as they are.

    Example:
        >>> in_part("mnist:val", "all"), in_part("mnist", "all"), in_part("photos:old", "all")
        (('mnist', 'val'), ('mnist', 'all'), ('photos:old', 'all'))
    """
    name, colon, part = (source or "").partition(":")
    if name not in data.DATASETS or not colon or os.path.lexists(str(source)):
        return source, split
    check_choice("the part of a data set", part, sources.PARTS)
    if split in {"train", "val"} and part != split:
        raise ConfigError(
            f"--split says {split}, and {source} {part}", hint="leave out one of them"
        )
    return name, part


def _recorded(model: "PixelModel", split: str, own: dict[str, Any], folder: str) -> "ImageSet":
    """The part of the data that a model was trained on."""
    arguments = trained_on(model, folder, split) | own | physical.coding(model)
    name = arguments.pop("name")
    if split == "all":
        arguments.pop("split", None)
        arguments.pop("test", None)
        return data.load_all(name, **arguments)
    parts = data.load(name, **arguments)
    if name not in data.DATASETS and not own:
        tell_changed(model, parts)
    return getattr(parts, split)


def tell_changed(model: "PixelModel", parts: "Splits") -> None:
    """Warns of data that are others by now than a model was trained on, as far as a look at some tells."""
    counts, hashes = model.record.get("images", {}), model.record.get("content_hash", {})
    found = {"train": len(parts.train), "val": len(parts.val)}
    same = hashes.get("val") in {None, parts.val.content_hash}
    if not same or any(found[part] != counts.get(part, found[part]) for part in found):
        say(
            f"warning: {printable(parts.train.name)} holds other images than this model was trained on;"
            " those to test on may be others, too"
        )


def trained_on(model: "PixelModel", folder: str, split: str) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give a model's training data again.

    A model file may come from anybody, so it chooses a named data set and nothing else; where own data are
    is a matter of the recipe that a run folder holds.

    Raises:
        ConfigError: the model does not say, or its data have no name.
    """
    settings = sources.recorded(model)
    name = settings.get("name")
    if name in data.DATASETS:
        return settings
    from pixelcnn.training.run import RunFolder

    run = RunFolder(folder)
    found = dict(run.stored().data) if run.recipe.is_file() else {}
    if found.get("name", ARRAY) != ARRAY:  # which lies nowhere
        where = found["test"] if split == "test" and found.get("test") else found["name"]
        say(f"measuring on {where}, as the recipe of the run says")
        return found | {
            key: settings[key] for key in ("size", "fit") if {key, "size"} <= {*settings}
        }
    if name is None:
        raise ConfigError("this model does not say what it was trained on", hint="give --data")
    raise ConfigError(
        f"this model was trained on {name}, which is no named data set",
        hint="say where it is with --data",
    )
