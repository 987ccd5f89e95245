"""From the values of a source to the levels of a model: bins, a threshold, or coin flips.

Quantise first, then scale: a model must never see more of its past than the levels it has to predict,
or it learns from detail that sampling cannot give back. So every function here maps integers to
integers, and :meth:`PixelModel.encode` alone turns levels into network input.
"""

import dataclasses
import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.bins import Bins, found_bins
from pixelcnn.data.geometry import in_colour, in_grey
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.lazy import each, pieces
from pixelcnn.data.raw import are_real
from pixelcnn.data.reading import Reading
from pixelcnn.data.tensors import dtype_of
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.record import ONE_EACH
from pixelcnn.shapes import MAX_LEVELS
from pixelcnn.text import counted

log = logging.getLogger("pixelcnn")

SOURCE = "source_levels (training: --set data.source_levels=N; else --source-levels N)"
"""How to say how many levels stored values have: for hints."""


def sourced(levels: int) -> str:
    """How to say that stored values have so many levels.

    Example:
        >>> sourced(2)
        '2 with source_levels (training: --set data.source_levels=2; else --source-levels 2)'
    """
    return f"{levels} with {SOURCE}".replace("N", str(levels))


def equal_bins(source: int, levels: int) -> np.ndarray:
    """Level of each source value: ``floor(value * levels / source)``, a table ``(source,)``.

    Example:
        >>> equal_bins(256, 4)[[0, 63, 64, 191, 192, 255]].tolist()
        [0, 0, 1, 2, 3, 3]
    """
    return np.arange(source, dtype=np.int64) * levels // source


def threshold_table(source: int, threshold: float) -> np.ndarray:
    """1 for each source value ``v >= threshold * source``, a table ``(source,)``.

    The rule of the tutorials: ``v < 0.33 * 256`` is 0, so 85 is the first value that is 1.

    Example:
        >>> threshold_table(256, 0.33)[[84, 85]].tolist()
        [0, 1]
    """
    return (np.arange(source) >= threshold * source).astype(np.int64)


def look_up(images: Tensor, table: np.ndarray, levels: int) -> Tensor:
    """Every value replaced by its entry in the table; lazy images stay lazy."""
    entries = torch.from_numpy(table).to(dtype_of(levels))

    def step(some: Tensor) -> Tensor:
        result = torch.empty(some.shape, dtype=entries.dtype)
        for piece in pieces(some):
            part = some[piece]
            result[piece] = entries.index_select(0, part.flatten().int()).view_as(part)
        return result

    return each(images, step, bound=levels)


def occurring(images: Tensor, levels: int) -> np.ndarray:
    """Which of the levels occur, bool; reads no further than the first piece by which all did."""
    seen = torch.zeros(levels, dtype=torch.bool)
    for piece in pieces(images):
        if seen.all():
            break
        seen |= torch.bincount(images[piece].flatten(), minlength=levels) > 0
    return seen.numpy()


def are_drawn(values: np.ndarray, source: int, levels: int) -> bool:
    """Whether values may be those of a picture of so many levels: evenly spaced, at most one in each bin.

    Example:
        >>> are_drawn(np.array([0, 85, 255]), 256, 4), are_drawn(np.array([0, 86, 200]), 256, 4)
        (True, False)
    """
    level = equal_bins(source, levels)[values]
    near = np.abs(values * (levels - 1) - level * (source - 1)) < levels - 1
    return bool(near.all()) and len(np.unique(level)) == len(values)


def settled(reading: Reading, train: ImageSet | None) -> Reading:
    """What was asked for, with bins in place of a rule.

    Args:
        reading: says how measured values become levels.
        train: images that a rule is applied to; None where there are none to choose.

    Raises:
        ConfigError: a rule without training images.
        DataError: values that no bins divide.
    """
    bins = reading.quantise
    if bins is None or (isinstance(bins, Bins) and bins.real is not None):
        return reading
    if isinstance(bins, str) and train is None:
        raise ConfigError(
            f"{bins!r} are bins of training images, and here are none",
            hint="give a range, edges, or those of a model: quantise=data.Bins.of_record(model.record)",
        )
    if train is None:
        return reading
    if isinstance(bins, str):
        bins = found_bins(bins, train.images, reading.levels, f"{train.name} ({train.split})")
    levels = not reading.measured or train.bins == bins  # what these were made of, nobody knows
    bins = dataclasses.replace(bins, real=None if levels else are_real(train.images))
    return dataclasses.replace(reading, levels=bins.levels, quantise=bins)


def coded(images: ImageSet, reading: Reading, *, again: bool = False) -> ImageSet:
    """The set with the colour and the levels that were asked for, saying how it came by them.

    More levels than the source has cannot be made: then it keeps its own, and the log says so. Two
    levels are a fixed binarisation already and stay as given.

    Args:
        images: of any levels.
        reading: what is wanted.
        again: another part of data whose first part has been told of already.
    """
    if not reading.labels:
        images = dataclasses.replace(images, labels=None, classes=())
    if reading.rgb:
        images = in_colour(images)
    elif reading.grey:
        images = in_grey(images)
    source = images.levels
    if source == 2 and images.binarisation != "none":  # a set that was made so before
        return images
    if reading.quantise is not None:
        return _measured(images, reading)
    if (reading.levels or 0) > source:
        words = "%s has %d levels, %d cannot be made of them"
        log.log(
            logging.DEBUG if again else logging.WARNING, words, images.name, source, reading.levels
        )
    if source == 2:
        return dataclasses.replace(images, binarisation="fixed")
    if reading.binarise == "dynamic":
        return dataclasses.replace(images, levels=2, grey_levels=source, binarisation="dynamic")
    if reading.binarise == "threshold":
        assert reading.threshold is not None, "set with binarise"
        return _at_threshold(images, reading.threshold)
    if reading.levels is None or reading.levels >= source:
        return images
    if reading.levels == 2:
        return _at_threshold(images, 0.5)
    return _in_bins(images, reading.levels, logging.DEBUG if again else logging.INFO)


def _at_threshold(images: ImageSet, threshold: float) -> ImageSet:
    values = look_up(images.images, threshold_table(images.levels, threshold), 2)
    name = f"threshold {threshold:g}"
    if len(images) and not occurring(values, 2).all():
        log.warning(
            "%s (%s): %s of %d levels makes every pixel %d",
            images.name, images.split, name, images.levels, int(values[:1].max()),
        )  # fmt: skip
    return dataclasses.replace(images, images=values, levels=2, binarisation=name)


def _in_bins(images: ImageSet, levels: int, usual: int) -> ImageSet:
    """Equal bins, reporting how many are occupied: values on another scale than said fill few."""
    source, table = images.levels, equal_bins(images.levels, levels)
    values, name = look_up(images.images, table, levels), f"{source} -> {levels} equal bins"
    seen = np.flatnonzero(occurring(images.images, source))
    count = len(np.unique(table[seen]))
    suspicious = count <= 2 and images.images.numel() > 100 * levels
    if not suspicious and are_drawn(seen, source, levels):
        name += ONE_EACH
        return dataclasses.replace(images, images=values, levels=levels, quantisation=name)
    log.log(
        logging.WARNING if suspicious else usual,
        "%s (%s): %s, %d of them occupied", images.name, images.split, name, count,
    )  # fmt: skip
    return dataclasses.replace(images, images=values, levels=levels, quantisation=name)


def _measured(images: ImageSet, reading: Reading) -> ImageSet:
    """Measured values in bins, saying how many lie in none; levels of these bins as they are."""
    bins: Bins = reading.quantise
    if images.bins == bins:
        return images
    if reading.source_levels is not None:
        plain = dataclasses.replace(reading, quantise=None, levels=bins.levels)
        found = coded(images, plain)
        if found.levels != bins.levels:
            raise DataError(
                f"{images.name} has {found.levels} levels, and the bins are {bins.levels}",
                hint=f"say how many levels the values have with {SOURCE}",
            )
        return dataclasses.replace(
            found, binarisation="none", quantisation=bins.describe(), bins=bins
        )
    where = f"{images.name} ({images.split})"
    real = are_real(images.images)
    if bins.real is not None and bins.real != real:
        kinds = ("integers", "real numbers")
        log.warning(
            "%s: these values are %s, the bins were made for %s; if they are levels already, say how many"
            " with %s", where, kinds[real], kinds[bins.real], SOURCE,
        )  # fmt: skip
    outside = bins.outside(images.images)
    if some := outside.nonzero()[:, 0].tolist():
        first = images.names[some[0]] if images.names else some[0]
        log.warning(
            "%s: %s of %s values lie outside the %s, and count as the outermost, whose density is not theirs:"
            " in %s, the first is %s", where, f"{int(outside.sum()):,}", f"{images.images.numel():,}",
            bins.describe(), counted(len(some), "image"), first,
        )  # fmt: skip
    levels = each(images.images, bins.levels_of, bound=bins.levels)
    known = {field.name: getattr(images, field.name) for field in dataclasses.fields(ImageSet)}
    coding_of = {"levels": bins.levels, "quantisation": bins.describe(), "bins": bins}
    return ImageSet(**known | {"images": levels, "source_levels": None} | coding_of)


def exceeds(values: Any, bound: int) -> bool:
    """Whether any value is above the bound; reads no further than the first piece that is."""
    return any(bool((values[piece] > bound).any()) for piece in pieces(values))


def source_levels(dtype: np.dtype) -> int:
    """How many levels integers have, where nobody said: by their type alone.

    Booleans have 2, integers of 16 bits 65,536, and all others 256. The values themselves decide nothing, or
    the same image would mean something else in another file; they may only contradict.

    Example:
        >>> [source_levels(np.dtype(kind)) for kind in ("uint8", "int64", ">u2", "bool")]
        [256, 256, 65536, 2]
    """
    if dtype == np.bool_:
        return 2
    return MAX_LEVELS if dtype.itemsize == 2 else 256


def check_guess(values: Any, levels: int, wanted: int | None, *, usual: bool = False) -> None:
    """Says for how many levels values are taken, as nobody said, where they may be of fewer.

    Args:
        values: integers, the first axis counting images; an array, or one in a file.
        levels: by their type.
        wanted: levels to be made of them, if any.
        usual: as many as those of a model's training images.

    Raises:
        DataError: none beyond those wanted, so that they may be levels already; if they are usual it is a
            warning.
    """
    if wanted is not None and wanted < levels and not exceeds(values, wanted - 1):
        if not usual:
            raise DataError(
                f"all values are below {wanted}: are they the {wanted} levels asked for already, or dark"
                f" ones of {levels}?",
                hint=f"say how many levels they have, {wanted} or {levels}, with {SOURCE}",
            )
        log.warning(
            "all values are below %d, and count as dark ones of %d; if they are levels already, as"
            " sample writes them, say %d with %s", wanted, levels, wanted, SOURCE,
        )  # fmt: skip
    elif not usual and levels > 2 and not exceeds(values, levels // 2 - 1):
        log.info(
            "%s values are taken for %d levels, though none is above %d; say otherwise with %s",
            values.dtype, levels, levels // 2 - 1, SOURCE,
        )  # fmt: skip


def possible(dtype: np.dtype) -> int | None:
    """How many levels a type has room for, so that no value need be looked at; None if some may be negative.

    Example:
        >>> possible(np.dtype(bool)), possible(np.dtype(">u2")), possible(np.dtype("i1"))
        (2, 65536, None)
    """
    return {"b": 2, "u": 256**dtype.itemsize}.get(dtype.kind)
