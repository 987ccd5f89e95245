"""The training record: what a model file says about how its weights came to be."""

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelcnn.conditioning import condition_of, known_classes
from pixelcnn.data import DATASETS, ImageSet, tags
from pixelcnn.data.content import as_bytes
from pixelcnn.data.hugging_face import NAME, PREFIX
from pixelcnn.data.lazy import pieces
from pixelcnn.data.reading import condition_names
from pixelcnn.data.sets import FACTS
from pixelcnn.model import PixelModel
from pixelcnn.record import UNSAID, classes_seen
from pixelcnn.sources import CODING
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.run import versions
from pixelcnn.weights import fingerprint

UNRECORDED = ("device", "devices", "nodes", "trackers", "init")
"""Options that say where a training ran, not what it did."""

ANCESTRY = ("recipe", "data", "content_hash", "steps", "epochs", "validation", "parent")
"""What of a parent's record stays in that of a model trained on from it."""

GENERATIONS = 50
"""Parents of parents that a record names: files in which more lie in each other are not read."""

COLOURS = {(1, 3): "rgb", (3, 1): "grey"}
"""By how many channels a named set has, and how many its images have now."""


def training_record(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    options: TrainingOptions,
    *,
    recipe: str = "",
    data: Any = None,
) -> dict[str, Any]:
    """What is known before training starts, in JSON types.

    Args:
        model: before its training; one that was trained before becomes the parent.
        train: training images.
        val: validation images.
        options: how to train.
        recipe: its name, if there is one.
        data: what to pass to :func:`pixelcnn.data.load` for the same sets; paths lose their folders.
    """
    told = {"tags": model.record["tags"]} if "tags" in model.record else {}
    tagged = " (tagged)" if options.augment_tag else ""
    classes, labels = list(train.classes), train.labels
    if labels is not None and tags.of(model).kind == "label":  # as the network is told them
        classes, labels = known_classes(model, classes) or classes, condition_of(model, train)
    known = model.record.get("data", {}) if train.binarisation == UNSAID else {}
    settings = {k: v for k, v in options.as_table().items() if k not in UNRECORDED}
    return (
        {
            "recipe": recipe,
            "data": recorded_data(data or source_of(train))
            | geometry_of(train)
            | {key: known[key] for key in CODING if key in known},
            "split": {"train": train.split, "val": val.split},
            "images": {"train": len(train), "val": len(val)},
            "content_hash": content_of(model, train=train, val=val),
            "skipped": train.skipped,
            "levels": train.levels,
            "classes": classes,
            "classes_seen": sorted(
                {*seen_before(model), *([] if labels is None else labels.unique().tolist())}
            ),
            "seed": options.seed,
            "augmentation": (", ".join(options.augment) or "none") + tagged,
            "training": settings,
            "versions": versions(),
        }
        | meaning_of(model, train)
        | told
        | parent(model)
    )


def seen_before(model: PixelModel) -> list[int]:
    """The classes that a model was trained on before; none of a new one."""
    own = tags.of(model)
    trained = own.kind == "label" and "steps" in model.record
    return classes_seen(model.record, own.size) if trained else []


def meaning_of(model: PixelModel, train: ImageSet) -> dict[str, Any]:
    """How levels came about, and what they stand for: as before, if the images are an array of levels."""
    found = {
        "binarisation": train.binarisation,
        "quantisation": train.quantisation,
        "source_levels": train.source_levels,
        "picture_levels": train.picture_levels,
        "bins": None if train.bins is None else train.bins.as_record(),
    }
    of_the_model = train.binarisation == UNSAID
    return found | {k: v for k, v in model.record.items() if of_the_model and k in found}


def content_of(model: PixelModel, **sets: ImageSet) -> dict[str, str]:
    """Content hashes of sets by their names, and of what a model is given with them.

    The latter are SHA-256 (hex) of the labels, vectors or maps, under ``NAME_condition``.
    """
    found = {name: images.content_hash for name, images in sets.items()}
    kind = tags.of(model).kind
    for name, images in sets.items():
        if kind is not None and (given := images.given(kind)) is not None:
            digest = hashlib.sha256(f"{given.dtype} {tuple(given.shape)}\n".encode())
            for piece in pieces(given):
                digest.update(as_bytes(given[piece]))
            found[f"{name}_condition"] = digest.hexdigest()
    return found


def recorded_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that a model file keeps; of a file of conditions nothing.

    Example:
        >>> recorded_data({"name": "/home/ada/a.csv", "condition": "mass,age"})
        {'name': 'a.csv', 'condition': ['mass', 'age']}
    """
    found = {key: nameless(value) for key, value in data.items()}
    names = list(condition_names(data.get("condition")))
    found.pop("condition", None)
    return found | ({"condition": names} if names else {})


def parent(model: PixelModel) -> dict[str, Any]:
    """What a fine-tuned model says of the trained one that it started from; nothing for a new one.

    ``steps`` and ``images_seen`` of a record are those of its own training; a parent's stand here.
    """
    known = {key: model.record[key] for key in ANCESTRY if key in model.record}
    if "steps" not in known:
        return {}
    own = fingerprint(model.config(), model.state_dict())
    return {"parent": _recent(known, GENERATIONS) | {"fingerprint": own}}


def _recent(known: dict[str, Any], generations: int) -> dict[str, Any]:
    """A parent and so many of its own ancestors."""
    if generations and "parent" in known:
        return known | {"parent": _recent(known["parent"], generations - 1)}
    return {key: value for key, value in known.items() if key != "parent"}


def progress_record(step: int, steps_per_epoch: int, images: int) -> dict[str, Any]:
    """How far the weights have come.

    Args:
        step: steps taken.
        steps_per_epoch: steps an epoch.
        images: in the training set.
    """
    epochs = step / steps_per_epoch
    return {"steps": step, "epochs": round(epochs, 4), "images_seen": round(epochs * images)}


def validation_record(found: Validation) -> dict[str, Any]:
    """The validation, and the quantiles that percentiles of new images are read from."""
    return {
        "validation": {
            "nats_per_image": found.mean,
            "stderr": None if math.isnan(found.stderr) else found.stderr,  # JSON has no NaN
            "bits_per_dim": found.bits_per_dim,
            "images": len(found.nats),
            "precision": found.precision,
        },
        "validation_quantiles": found.quantiles,
    }


def geometry_of(images: ImageSet) -> dict[str, Any]:
    """The size that pictures were brought to, and how; nothing of others."""
    return {"size": list(images.shape[1:]), "fit": images.fit} if images.fit else {}


def source_of(images: ImageSet) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give a set again, as far as the set tells.

    Example:
        >>> from pixelcnn import data
        >>> source_of(data.load("digits", levels=4, rgb=True).train)
        {'name': 'digits', 'levels': 4, 'rgb': True}
    """
    found: dict[str, Any] = {"name": images.name} if images.name else {}
    kind, _, rest = images.binarisation.partition(" ")
    if kind == "threshold":
        found["threshold"] = float(rest)
    elif kind.startswith("dynamic"):
        found["binarise"] = "dynamic"
    elif images.quantisation != "none":
        found["levels"] = images.levels
    channels = FACTS[images.name].channels if images.name in FACTS else images.shape.channels
    if (way := COLOURS.get((channels, images.shape.channels))) is not None:
        found[way] = True
    found |= geometry_of(images)
    if images.split.startswith("tutorial"):
        found["split"] = "tutorial"
    return found


def nameless(value: Any) -> Any:
    """A path without the folders that lead to it, which are nobody's business; other values as they are.

    Example:
        >>> nameless("/home/ada/photos/"), nameless("mnist"), nameless("../mnist"), nameless("hf:ada/cats")
        ('photos', 'mnist', './mnist', 'hf:ada/cats')
    """
    if not isinstance(value, str) or not re.search(r"[/\\]", value):
        return value
    if value.startswith(PREFIX) and NAME.fullmatch(value.removeprefix(PREFIX).partition(":")[0]):
        return value  # where it lies is known to everybody
    name = Path(value.replace("\\", "/")).name
    return f"./{name}" if name in DATASETS else name  # not the named set
