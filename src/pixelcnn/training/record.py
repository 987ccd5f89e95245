"""The training record: what a model file says about how its weights came to be."""

import re
from pathlib import Path
from typing import Any

from pixelcnn.checkpoint import fingerprint
from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.run import versions

PLACES = ("device", "devices", "nodes", "trackers", "init")
"""Options that say where a training ran, not what it did."""

ANCESTRY = ("recipe", "data", "content_hash", "steps", "epochs", "validation", "parent")
"""What of a parent's record stays in that of a model trained on from it."""


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
    settings = {k: v for k, v in options.as_table().items() if k not in PLACES}
    return {
        "recipe": recipe,
        "data": {key: nameless(value) for key, value in (data or source_of(train)).items()},
        "split": {"train": train.split, "val": val.split},
        "images": {"train": len(train), "val": len(val)},
        "content_hash": {"train": train.content_hash, "val": val.content_hash},
        "binarisation": train.binarisation,
        "quantisation": train.quantisation,
        "skipped": train.skipped,
        "levels": train.levels,
        "source_levels": train.source_levels,
        "classes": list(train.classes),
        "classes_seen": [] if train.labels is None else train.labels.unique().tolist(),
        "seed": options.seed,
        "training": settings,
        "versions": versions(),
    } | parent(model)


def parent(model: PixelModel) -> dict[str, Any]:
    """What a fine-tuned model says of the trained one that it started from; nothing for a new one.

    ``steps`` and ``images_seen`` of a record are those of its own training; a parent's stand here.
    """
    known = {key: model.record[key] for key in ANCESTRY if key in model.record}
    if "steps" not in known:
        return {}
    return {"parent": known | {"fingerprint": fingerprint(model.config(), model.state_dict())}}


def progress_record(step: int, steps_per_epoch: int, images: int) -> dict[str, Any]:
    """How far the weights have come.

    Args:
        step: steps taken.
        steps_per_epoch: steps an epoch.
        images: in the training set.
    """
    epochs = step / steps_per_epoch
    return {"steps": step, "epochs": round(epochs, 4), "images_seen": round(epochs * images)}


def validation_record(found: Validation, precision: str) -> dict[str, Any]:
    """The validation, and the quantiles that percentiles of new images are read from."""
    return {
        "validation": {
            "nats_per_image": found.mean,
            "stderr": found.stderr,
            "bits_per_dim": found.bits_per_dim,
            "images": len(found.nats),
            "precision": precision,
        },
        "validation_quantiles": found.quantiles,
    }


def source_of(images: ImageSet) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give a set again, as far as the set tells.

    Example:
        >>> from pixelcnn import data
        >>> source_of(data.load("digits", levels=4).train)
        {'name': 'digits', 'levels': 4}
    """
    found: dict[str, Any] = {"name": images.name}
    kind, _, rest = images.binarisation.partition(" ")
    if kind == "threshold":
        found["threshold"] = float(rest)
    elif kind.startswith("dynamic"):
        found["binarise"] = "dynamic"
    elif images.quantisation != "none":
        found["levels"] = images.levels
    if images.split.startswith("tutorial"):
        found["split"] = "tutorial"
    return found


def nameless(value: Any) -> Any:
    """A path without the folders that lead to it, which are nobody's business; other values as they are.

    Example:
        >>> nameless("/home/ada/photos/"), nameless("mnist"), nameless(0.33)
        ('photos', 'mnist', 0.33)
    """
    if isinstance(value, str) and re.search(r"[/\\]", value):
        return Path(value.replace("\\", "/")).name
    return value
