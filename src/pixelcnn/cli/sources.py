"""Which data a model is scored on, prepared as it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelcnn import data
from pixelcnn.errors import ConfigError
from pixelcnn.registry import closest

if TYPE_CHECKING:
    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel

SPLITS = ("train", "val", "test")
CODING = ("threshold", "binarise", "rgb")
"""Keys of the record that say how pixels became levels: they hold for any data."""
TRAINING_SET = ("name", "levels", "split", "size", "layout", "fit", "skip_bad", "test")
"""Keys of the record that belong to the data it names."""
OPTIONS = ("size", "layout", "skip_bad")


def preparation(
    model: "PixelModel",
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Options of :func:`pixelcnn.data.load` that give other data the model's levels and shape."""
    recorded = model.record.get("data", {})
    coding = {key: recorded[key] for key in CODING if recorded.get(key) is not None}
    levels = {} if coding.get("threshold") or coding.get("binarise") else {"levels": model.levels}
    own: dict[str, Any] = {"shape": model.shape, "layout": layout, "skip_bad": skip_bad}
    return {**coding, **levels, **own, "size": size or _size(model)}
