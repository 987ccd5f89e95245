"""Images for a model, of whatever source: in its shape, and in levels as its training images became them.

Two things may be meant by integers. Those of an array or a tensor in the caller's hands are *levels of the
model*, as :func:`pixelcnn.sample` gives them. All other sources (paths, names, pictures, datasets) hold
*stored values*, which become levels as those of the training images did: of as many source levels, by the
same threshold or bins, in the same size. With ``source_levels`` the values of an array are stored ones, too.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pixelcnn import data, physical, record
from pixelcnn.conditioning import condition_of
from pixelcnn.config import check_choice
from pixelcnn.data import ImageSet, Splits, tags
from pixelcnn.data.content import content_keys
from pixelcnn.data.layout import arranged
from pixelcnn.data.loading import load_part, parts_in
from pixelcnn.data.sets import FACTS, OWN
from pixelcnn.data.sources import has_columns, is_path
from pixelcnn.data.splits import TWO_WAYS, Parts, parts_by_content
from pixelcnn.data.values import ARRAY, is_array, is_pair, is_plain, is_several, tensor_of
from pixelcnn.devices import require_model
from pixelcnn.errors import DataError, ModelError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import MAX_LEVELS, brought

PARTS = ("train", "val", "test", "all")
CODING = ("threshold", "binarise")
"""Keys of a training record that say how stored values become levels: they hold for other data, too."""
GEOMETRY = ("size", "fit", "rgb", "grey", "condition")
"""Keys that say how images get the model's shape."""
SETTINGS = ("name", "levels", *CODING, *GEOMETRY[1:], "labels", "split")
"""Keys of a training record that say what was trained on, beside the size."""


def recorded(model: PixelModel) -> dict[str, Any]:
    """What a model's record says of its training data; the size is the model's own.

    Pictures used to be cropped to a size unless their record says otherwise.
    Records of files are checked when they are read, see :mod:`pixelcnn.record`.
    """
    found = model.record.get("data", {})
    kept = {key: found[key] for key in SETTINGS if found.get(key) is not None}
    return {"size": tuple(model.shape[1:]), "fit": "crop"} | kept if found.get("size") else kept


def preparation(model: PixelModel, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of :func:`pixelcnn.data.load` that give other data the model's levels and shape.

    Args:
        model: its record says how stored values became levels.
        options: some of :class:`pixelcnn.data.Options`, which win; None counts as left out.
    """
    settings, given = recorded(model), given_of(options)
    found = {key: settings[key] for key in GEOMETRY if key in settings}
    if not given.keys() & {*CODING, "levels", "quantise"}:
        found |= {key: settings[key] for key in CODING if key in settings}
        if not found.keys() & {"threshold", "binarise"}:
            found["levels"] = model.levels
        found |= physical.coding(model)
    found["picture_levels"] = model.record.get("picture_levels")
    found["usual_levels"] = source_levels(model.record, model.levels)
    if tags.of(model).kind == "label":
        found["classes"] = [name for name in model.record.get("classes") or () if name]
    else:  # labels that cannot be used keep no image from being read
        found["labels"] = False
    return found | given | {"shape": tuple(model.shape)}


def source_levels(said: Mapping[str, Any], levels: int) -> int:
    """How many levels the stored values had that a model of so many levels was trained on, by its record.

    Where that does not say it: what it says of the data or the quantisation, or the model's own number if
    nothing was binarised, or that of the named data set, or 256.

    Example:
        >>> source_levels({"source_levels": 4096}, 16), source_levels({"binarisation": "fixed"}, 2)
        (4096, 2)
        >>> source_levels({"binarisation": "threshold 0.33", "data": {"name": "mnist"}}, 2)
        256
    """
    trained = said.get("data") or {}
    if found := said.get("source_levels") or trained.get("source_levels"):
        return int(found)
    if bins := re.match(r"(\d{1,5}) -> ", said.get("quantisation", "")):
        return min(max(int(bins[1]), 2), MAX_LEVELS)
    as_given = said.get("binarisation", "none") in ("none", "fixed", record.UNSAID)
    if as_given and not trained.get("binarise"):
        return levels
    return FACTS.get(str(trained.get("name")), OWN).levels


def given_of(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that say something."""
    return {key: value for key, value in (options or {}).items() if value is not None}


def beside(condition: Any, source: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a source that need not hold what images are given, if that is said beside it."""
    unneeded = condition is not None and (is_path(source) or has_columns(source))
    return given_of(options) | ({"condition": (), "labels": False} if unneeded else {})


def set_of(
    model: PixelModel,
    source: Any,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> ImageSet:
    """Images for a model as a set; a dynamic one drawn once.

    Args:
        model: whose images these are.
        source: any source of :func:`pixelcnn.data.load`.
        split: ``train``, ``val``, ``test`` or ``all``; by default ``test`` of a named set, of a path and of
            what comes in parts, and all of anything else.
        options: see :func:`preparation`.

    Raises:
        ConfigError, DataError: see :func:`pixelcnn.data.load`.
        ModelError: levels that are not the model's.
    """
    require_model(model)
    if split is not None:
        check_choice("split", split, PARTS)
    source, given = _readied(model, source, options)
    if not given_of(options).get("condition") and not has_columns(source):
        given.pop("condition", None)  # which columns training read
    part = split or ("test" if _several(source) else "all")
    images = data.load_all(source, **given) if part == "all" else load_part(source, part, **given)
    if split is None and images.assigned is not None and not isinstance(source, ImageSet):
        images = load_part(source, "test", **given)  # a table in memory that says what are parts
    return agreeing(model, images)


def levels_of(
    model: PixelModel, source: Any, condition: Any = None, options: Mapping[str, Any] | None = None
) -> tuple[Tensor, Any, ImageSet | None]:
    """All images of a source as the model's levels, and what they are given to it with.

    Levels in an array are not looked at, nor copied.

    Args:
        model: see :func:`set_of`, as for the errors.
        source: likewise.
        condition: of the images; by default what the source says of each.
        options: likewise.

    Returns:
        Levels ``(n, c, h, w)``, the condition, and the set that both come from unless it is an array.
    """
    require_model(model)
    given = given_of(options)
    if is_array(source) and not given.keys() - {"layout"}:
        values = tensor_of(source)
        if physical.bins_of(model) is None or not values.is_floating_point():
            return arranged(values, model.shape, given.get("layout")), condition, None
    images = set_of(model, source, "all", beside(condition, source, given))
    found = condition_of(model, images) if condition is None else condition
    return images.images, found, images


def training_sets(
    model: PixelModel, train: Any, val: Any = None, options: Mapping[str, Any] | None = None
) -> tuple[ImageSet, ImageSet]:
    """What a model is trained on and what it is validated on.

    Args:
        model: to be trained.
        train: any source; of what comes in parts the one to train on.
        val: likewise; by default the validation part of ``train``, or a tenth of it by content.
        options: of both, see :func:`preparation`.

    Raises:
        ConfigError, DataError, ModelError: see :func:`set_of`.
    """
    if val is not None:
        return _part(model, train, "train", options), _part(model, val, "val", options)
    known: Parts = {} if _several(train) else _parts(model, train, options)
    if "all" not in known:
        train, given = _readied(model, train, options)
        parts = data.load(train, **given)
        return agreeing(model, parts.train), agreeing(model, parts.val)
    whole = known["all"]
    kept, cut = parts_by_content(content_keys(whole.images, whole.group), TWO_WAYS)
    return whole[kept], whole[cut]


def _several(source: Any) -> bool:
    """Whether a source is in parts, or is split, by what it is; of a table in memory its columns tell."""
    return is_path(source) or is_several(source) or isinstance(source, Splits | Mapping)


def _parts(model: PixelModel, source: Any, options: Mapping[str, Any] | None) -> Parts:
    """A source in the parts that it comes in."""
    source, given = _readied(model, source, options)
    return (
        {"all": source} if isinstance(source, ImageSet) and not given else parts_in(source, **given)
    )


def _part(model: PixelModel, source: Any, part: str, options: Mapping[str, Any] | None) -> ImageSet:
    """A whole source, or its part of this name."""
    parts = _parts(model, source, options)
    if "all" not in parts and part not in parts:
        raise DataError(f"{parts['train'].name} has no part {part}", hint="give images for it")
    return parts["all"] if "all" in parts else parts[part]


def agreeing(model: PixelModel, images: ImageSet) -> ImageSet:
    """A set that has as many levels as a model.

    Raises:
        ModelError: it has others.
    """
    if len(images) and images.levels != model.levels:
        coding = {key: value for key, value in recorded(model).items() if key in CODING}
        coding = coding or {"levels": model.levels}
        options = " ".join(f"--set data.{key}={value}" for key, value in coding.items())
        arguments = ", ".join(f"{key}={value!r}" for key, value in coding.items())
        raise ModelError(
            f"this model is for {model.levels} levels, {images.name} has {images.levels}",
            hint=f"load them with `pixelcnn train {options}` (in Python {arguments})",
        )
    return images


def of_shape(model: PixelModel, images: ImageSet) -> ImageSet:
    """A set of images that have a model's shape.

    Raises:
        ModelError: they have another.
    """
    if tuple(images.shape) != tuple(model.shape):
        raise ModelError(
            f"the model is for {model.shape} images, {images.name or 'the set'} has {images.shape}",
            hint=brought(images.shape.channels, model.shape),
        )
    return images


def _readied(
    model: PixelModel, source: Any, options: Mapping[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    """A source, and the options that give its images the model's levels and shape; none of a set as it is."""
    given = given_of(options)
    if is_plain(source):
        source, given = _array(model, source, given)
    as_it_is = isinstance(source, ImageSet | Splits) and not given
    return source, given if as_it_is else preparation(model, given)


def _array(model: PixelModel, source: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """An array as a set if it holds the model's levels; else in the model's order, with how to read it."""
    source, labels = source if is_pair(source) else (source, None)
    labels = labels if tags.of(model).kind == "label" else None
    values = tensor_of(source)
    images = arranged(values, model.shape, given.get("layout"))
    whole = not (images.is_floating_point() or images.is_complex())
    levels = whole and not given.keys() & {*CODING, "levels", "quantise", "source_levels"}
    known = images.ndim == 4 and tuple(images.shape[1:]) == tuple(model.shape)
    if levels and known and not given.keys() - {"layout"}:
        return ImageSet(images, model.levels, labels, name=ARRAY, binarisation=record.UNSAID), {}
    if levels:
        given = given | {"source_levels": model.levels}
    found, layout = (images, {"layout": "n c h w"}) if known else (values, {})
    return found if labels is None else (found, labels), given | layout
