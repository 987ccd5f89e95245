"""``load`` and ``load_all``: from a name or a path to images as integer levels."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pixelcnn.annotations import Range
from pixelcnn.config import gated
from pixelcnn.data.geometry import as_size, fitted, in_colour
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.own import existing, own_splits, read_listed, read_own
from pixelcnn.data.quantise import Coding, coded
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.sets import DATASETS, named_splits, named_whole
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import MAX_LEVELS, image_shape

Source = str | Path
Size = int | str | Sequence[int]
Levels = Annotated[int, Range(2, MAX_LEVELS)]


@gated
def load(
    data: Source = "digits",
    *,
    levels: Levels | None = None,
    threshold: Annotated[float, Range(0, 1)] | None = None,
    binarise: Literal["threshold", "dynamic"] | None = None,
    rgb: bool = False,
    split: Literal["standard", "tutorial"] = "standard",
    size: Size | None = None,
    fit: Literal["crop", "pad", "resize"] = "crop",
    layout: str | None = None,
    skip_bad: bool = False,
    shape: Sequence[int] | None = None,
    source_levels: Levels | None = None,
    label_column: str | None = None,
    usual_levels: Levels | None = None,
    test: Source | None = None,
    labels: bool = True,
    root: Source | None = None,
    download: bool = True,
) -> Splits:
    """A data set in three parts: to train on, to choose by, to report on.

    Args:
        data: one of :data:`DATASETS`, else a path: a folder of images (with class folders as labels,
            or with folders ``train``, ``test`` and perhaps ``val``), an image file, ``.npy``, ``.npz``
            (``images``, perhaps ``labels``), a Kaggle-style ``.csv``, or a prepared folder.
        levels: quantise to this many in equal bins; ``None`` keeps those of the data.
        threshold: binarise: from this share of the range on, a value becomes 1.
        binarise: ``threshold`` (at 0.5 unless ``threshold`` says), or ``dynamic``: training images are
            drawn anew in each epoch with the grey value as the probability of a 1, validation and
            test images once, with seed 0.
        rgb: give grey images three equal channels.
        split: ``standard``, or ``tutorial``: official training and test images in one piece, of which
            the last tenth validates. For comparison with the tutorials only, since it trains on test
            images.
        size: a side, or (height, width), that images are brought to; never by resizing unless asked.
        fit: ``crop`` about the centre and refuse smaller images; ``pad`` with level 0 what is smaller;
            ``resize`` (image files only) to the shorter side, then crop.
        layout: axes of an array or of colours in a table: ``n h w``, ``n h w c`` or ``n c h w``.
        skip_bad: leave out files and rows that cannot be read.
        shape: (channels, height, width) of a model: settles layouts, and the channels of image files.
        source_levels: how many levels the stored values have. By default what an archive says itself,
            then what ``usual_levels`` says, then what the type of the values says.
        usual_levels: as ``source_levels``, for data that do not say it themselves; other data ignore it.
        label_column: of a table: ``first``, ``last``, ``none`` or its name, where it cannot be seen.
        test: own data only: a second path with the test images.
        labels: keep labels.
        root: where named sets are looked for before the user's cache; default ``$PIXELCNN_DATA``.
        download: fetch named sets that are missing.

    Raises:
        ConfigError: options that contradict each other, or do not go with the data; an unknown name.
        DataError: data that are missing, damaged or do not fit.

    Example:
        >>> train, val, test = load("digits", levels=2)
        >>> len(train), len(val), len(test), train.binarisation
        (1297, 200, 300, 'threshold 0.5')
    """
    coding = Coding(levels=levels, threshold=threshold, binarise=binarise)
    if data in DATASETS:
        _own_only(
            str(data),
            test=test,
            layout=layout,
            source_levels=source_levels,
            label_column=label_column,
        )
        parts = named_splits(str(data), split, _path(root), download)
        parts = Splits(*(fitted(part, as_size(size), fit) for part in parts))
    else:
        if split != "standard":
            raise ConfigError(
                "own data have no split but standard", hint=f"leave out {typed('split')}"
            )
        reading = _reading(
            coding,
            size,
            fit,
            layout,
            skip_bad,
            shape,
            source_levels,
            usual_levels,
            label_column,
            labels,
        )
        parts = own_splits(existing(data), reading, None if test is None else existing(test))
    train, val, rest = (_finished(part, coding, rgb=rgb, labels=labels) for part in parts)
    return Splits(train, val.frozen(), rest.frozen())


@gated
def load_all(
    data: Source | Sequence[Source],
    *,
    levels: Levels | None = None,
    threshold: Annotated[float, Range(0, 1)] | None = None,
    binarise: Literal["threshold", "dynamic"] | None = None,
    rgb: bool = False,
    size: Size | None = None,
    fit: Literal["crop", "pad", "resize"] = "crop",
    layout: str | None = None,
    skip_bad: bool = False,
    shape: Sequence[int] | None = None,
    source_levels: Levels | None = None,
    label_column: str | None = None,
    usual_levels: Levels | None = None,
    labels: bool = True,
    root: Source | None = None,
    download: bool = True,
) -> ImageSet:
    """Images in one piece and in their order: to score, complete or compress.

    Args:
        data: as for :func:`load`, or several image files.
        levels: as for :func:`load`, like all others. Dynamic binarisation is drawn once, with seed 0.
        threshold: as for :func:`load`.
        binarise: as for :func:`load`.
        rgb: as for :func:`load`.
        size: as for :func:`load`.
        fit: as for :func:`load`.
        layout: as for :func:`load`.
        skip_bad: as for :func:`load`.
        shape: as for :func:`load`.
        source_levels: as for :func:`load`.
        label_column: as for :func:`load`.
        usual_levels: as for :func:`load`.
        labels: as for :func:`load`.
        root: as for :func:`load`.
        download: as for :func:`load`.

    Raises:
        ConfigError: options that contradict each other, or do not go with the data; an unknown name.
        DataError: data that are missing, damaged or do not fit.

    Example:
        >>> load_all("digits").split
        'all'
    """
    coding = Coding(levels=levels, threshold=threshold, binarise=binarise)
    if data in DATASETS:
        _own_only(str(data), layout=layout, source_levels=source_levels, label_column=label_column)
        images = fitted(named_whole(str(data), _path(root), download), as_size(size), fit)
    else:
        reading = _reading(
            coding,
            size,
            fit,
            layout,
            skip_bad,
            shape,
            source_levels,
            usual_levels,
            label_column,
            labels,
        )
        if isinstance(data, str | Path):
            images = read_own(existing(data), reading)
        else:
            images = read_listed(data, reading)
    return _finished(images, coding, rgb=rgb, labels=labels).frozen()


def _own_only(name: str, **options: object) -> None:
    """Raises :class:`ConfigError` for an option that a named set has no use for."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{option} goes with own data, not with {name}", hint=f"leave out {typed(option)}"
            )


def _path(root: Source | None) -> Path | None:
    return None if root is None else Path(root).expanduser()


def _reading(
    coding: Coding,
    size: Size | None,
    fit: str,
    layout: str | None,
    skip_bad: bool,
    shape: Sequence[int] | None,
    source_levels: int | None,
    usual_levels: int | None,
    label_column: str | None,
    labels: bool,
) -> Reading:
    return Reading(
        size=as_size(size),
        fit=fit,
        layout=layout,
        skip_bad=skip_bad,
        shape=None if shape is None else image_shape(tuple(shape)),  # type: ignore[arg-type]
        levels=coding.wanted,
        source_levels=source_levels,
        label_column=label_column,
        labels=labels,
        usual_levels=usual_levels,
    )


def _finished(images: ImageSet, coding: Coding, *, rgb: bool, labels: bool) -> ImageSet:
    """Colour and levels, after everything that depends on the images as they came."""
    if not labels:
        images = dataclasses.replace(images, labels=None, classes=())
    return coded(in_colour(images) if rgb else images, coding)
