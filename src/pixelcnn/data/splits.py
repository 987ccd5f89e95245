"""Which images train, which validate and which test: fixed, and independent of any library's shuffle."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Subset

from pixelcnn import streams
from pixelcnn.data.content import content_keys
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.labels import tell_of_numbers
from pixelcnn.data.lazy import concatenated
from pixelcnn.data.reading import WITHOUT, Reading, typed
from pixelcnn.errors import DataError
from pixelcnn.text import counted

log = logging.getLogger("pixelcnn")

Source = TypeVar("Source")
Parts = dict[str, ImageSet]
"""Images as a source has them: under ``all``, or under ``train`` and others of ``val`` and ``test``."""

THREE_WAYS = (0.8, 0.9)
"""Own data: up to the first share trains, up to the second validates, the rest tests."""
TWO_WAYS = (0.9,)
"""The same where the user brings a test set."""
ALIKE = ("binarisation", "quantisation", "source_levels", "condition_names")
"""What sets that are joined have in common, beside the shape, the levels and the classes."""
LOOKED_AT = 2_000
"""Test images of the user's own, evenly spread, that are looked for among the others."""
READ_AGAIN = 2**28
"""Bytes of images that are read for that alone, at most."""


def permutation(n: int) -> np.ndarray:
    """The fixed shuffle of ``n`` images: positions sorted by the words of their stream.

    Of :mod:`pixelcnn.streams`, since no library guarantees its ``shuffle`` for ever.

    Example:
        >>> permutation(6).tolist()
        [0, 1, 4, 2, 5, 3]
    """
    return np.argsort(streams.split().words(n), kind="stable")


def shuffled_parts(n: int, *sizes: int) -> list[np.ndarray]:
    """The fixed shuffle, cut into parts of these sizes; each part keeps the order of the file."""
    assert sum(sizes) == n, f"{sizes} of {n}"
    return [np.sort(part) for part in np.split(permutation(n), np.cumsum(sizes)[:-1])]


def parts_by_content(keys: np.ndarray, shares: tuple[float, ...] = THREE_WAYS) -> list[np.ndarray]:
    """Indices of each part, ascending, cut where the content keys pass the shares of their range.

    So an image stays where it is when others are added, renamed or removed, and copies of an image
    are never on both sides. A small set could leave a part empty: then the distinct images are
    ranked by key and cut by their number, with at least one in each part.

    Raises:
        DataError: fewer distinct images than parts.
    """
    bounds = [round(share * 2**64) for share in shares]
    part = np.searchsorted(np.array(bounds, dtype=np.uint64), keys, side="right")
    count = len(shares) + 1
    if len(np.unique(part)) < count:
        part = _ranked(keys, shares)
    return [np.flatnonzero(part == number) for number in range(count)]


def _ranked(keys: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Part of each image of a small set."""
    distinct, place = np.unique(keys, return_inverse=True)
    n, count = len(distinct), len(shares) + 1
    if n < count:
        others = ", `pixelcnn train --set data.test=` (in Python test=) test images from elsewhere"
        raise DataError(
            f"{counted(n, 'different image')} cannot be split into {count} parts",
            hint=f"at least {count} different images are needed; --fit patches with --size (in Python"
            " fit='patches', size=) cuts a large picture into many; `pixelcnn evaluate --split all`"
            f" takes fewer{others if count > len(TWO_WAYS) + 1 else ''}",
        )
    smaller = [max(1, round(n * (b - a))) for a, b in zip(shares, (*shares[1:], 1.0), strict=True)]
    cuts = n - np.cumsum(smaller[::-1])[::-1]
    return np.searchsorted(cuts, place, side="right")


def divided(parts: Parts) -> Parts:
    """Images in one piece in the parts that their source assigns them to, if it does; others as they are.

    Those of one part alone, which may have been chosen among all, are in one piece.
    """
    whole = parts.get("all")
    if whole is None or whole.assigned is None:
        return parts
    plain, found = dataclasses.replace(whole, assigned=None), Parts()
    for number, part in enumerate(Splits._fields):
        if (mine := whole.assigned == number).any():
            found[part] = plain[mine]
    return found if "train" in found and len(found) > 1 else {"all": plain}


def splits_of(parts: Parts, keys: np.ndarray | None = None, test: ImageSet | None = None) -> Splits:
    """Own data in three parts.

    Data in one piece give 80 % train, 10 % validate and 10 % test, by the content of each image; with a test
    set 90 % and 10 %. Of data that come in parts, what is missing is a tenth of ``train``; a test
    set takes the place of their own, whose images are left out.

    Args:
        parts: what there is.
        keys: content keys of the images, if they are known.
        test: a test set from elsewhere.

    Raises:
        DataError: too few different images, or a test set that does not fit.
    """
    sets, whole = dict(parts), parts.get("all")
    if test is not None:
        if "test" in sets:
            own = sets["test"]
            log.warning("%s: its own test images are left out, for others are given", own.name)
        sets["test"] = matched(test, next(iter(parts.values())), "test")
    missing = [part for part in Splits._fields if part not in sets]
    if whole is not None or len(missing) == 1:
        origin = sets["train"] if whole is None else whole
        found = content_keys(origin.images, origin.group) if keys is None else keys
        ways = THREE_WAYS if len(missing) == 3 else TWO_WAYS
        if origin.group is not None and len(np.unique(found)) <= len(ways):
            raise DataError(
                f"{origin.name}: patches of one photograph stay together, or of one band of few, so that"
                f" at least {len(ways) + 1} that differ are needed for {len(ways) + 1} parts",
                hint="take smaller patches, or more photographs",
            )
        cut = parts_by_content(found, ways)
        if "test" not in missing:
            _tell_of_copies(sets["test"], found, *([] if keys is None else [origin]))
        names = missing if whole is not None else ["train", *missing]
        sets |= {name: origin[part] for name, part in zip(names, cut, strict=True)}
    elif not missing:
        _tell_of_copies(sets["test"], np.array([], np.uint64), sets["train"], sets["val"])
    for part, images in sets.items():
        # Those of the tutorial trained on test images, and keep saying so.
        if not images.split.startswith("tutorial"):
            sets[part] = dataclasses.replace(images, split=part)
    return Splits(*(sets[part] for part in Splits._fields))


def _tell_of_copies(test: ImageSet, keys: np.ndarray, *others: ImageSet) -> None:
    """One line if test images, of which some are looked at, are among those with these content keys.

    Or among others, unless they are too large to be read for that: keys that a packed set holds, for one,
    are those of its values before they were brought to another size or range.
    """
    if test.group is not None or test.split.startswith("tutorial"):  # whose name says it
        return
    if sum(each.images.nbytes for each in others) <= READ_AGAIN:
        read = (content_keys(each.images, each.group) for each in others)
        keys = np.concatenate([keys, *read])
    if not len(keys):
        return
    some = test.limit(LOOKED_AT)
    copies = int(np.isin(content_keys(some.images), keys).sum())
    if copies:
        words = "%s: %d of %s are training or validation images, too"
        log.warning(words, test.name, copies, counted(len(some), "test image"))


def alike(reading: Reading, train: ImageSet) -> Reading:
    """How to read data that go with a training set."""
    levels = reading.source_levels if reading.measured else train.levels
    return dataclasses.replace(
        reading,
        channels=train.shape.channels,
        source_levels=levels,
        shape=train.shape,
        classes=train.classes,
    )


def read_alike(
    sources: Mapping[str, Source], read: Callable[[Source, Reading], ImageSet], reading: Reading
) -> Parts:
    """Parts of a set, each as :func:`alike` has it read, and :func:`matched`: to the first, ``train``."""
    sets: Parts = {}
    for part, source in sources.items():
        first = next(iter(sets.values()), None)
        images = read(source, reading if first is None else alike(reading, first))
        sets[part] = images if first is None else matched(images, first, part)
    return sets


def matched(other: ImageSet, train: ImageSet, part: str) -> ImageSet:
    """Another part of a set, with labels counted as in the training set.

    Raises:
        DataError: another shape, other levels, or a class that does not occur in training.
    """
    if other.shape != train.shape or other.levels != train.levels:
        raise DataError(
            f"{part} images are {other.shape} with {other.levels} levels, "
            f"but training images are {train.shape} with {train.levels}",
            hint=f"bring both to one shape: {typed('size')}, {typed('layout')} or {typed('levels')}",
        )
    if other.labels is not None and train.labels is not None:
        tell_of_numbers(other.classes, train.classes, other.name or f"{part} images")
    if not (other.classes and train.classes) or other.classes == train.classes:
        return other
    unknown = [name for name in other.classes if name not in train.classes]
    if unknown or other.labels is None:
        raise DataError(
            f"{part} images have classes that training images lack: {', '.join(unknown)}",
            hint=f"call them as in training, or leave labels out: {WITHOUT}",
        )
    number = torch.from_numpy(np.array([train.classes.index(name) for name in other.classes]))
    return dataclasses.replace(other, labels=number[other.labels], classes=train.classes)


def joined(first: ImageSet, *others: ImageSet) -> ImageSet:
    """Sets in one piece, one after the other, each :func:`matched` to the first and under its name."""
    parts = (first, *(matched(other, first, "further") for other in others))
    groups, photographs = list[torch.Tensor](), 0
    for part in parts:
        if part.group is not None:
            groups.append(part.group + photographs)
            photographs += int(part.group.max()) + 1
    names = [part.names or tuple(map(str, range(len(part)))) for part in parts]
    labels = [part.labels for part in parts if part.labels is not None]
    conditions = [part.condition for part in parts if part.condition is not None]
    return dataclasses.replace(
        first,
        split="all",
        images=concatenated([part.images for part in parts]),
        labels=torch.cat(labels) if len(labels) == len(parts) else None,
        names=sum(names, ()) if any(part.names for part in parts) else (),
        condition=torch.cat(conditions) if len(conditions) == len(parts) else None,
        skipped=sum(part.skipped for part in parts),
        index=None,
        assigned=None,
        group=torch.cat(groups) if len(groups) == len(parts) else None,
    )


def of_a_set(source: Any) -> bool:
    """Whether it is a set of images, what a ``Subset`` takes from one, or several in a ``ConcatDataset``."""
    if isinstance(source, ConcatDataset):
        return all(map(of_a_set, source.datasets))
    return of_a_set(source.dataset) if isinstance(source, Subset) else isinstance(source, ImageSet)


def taken(source: Any) -> ImageSet:
    """Those images as a set.

    Raises:
        DataError: several sets, whose images or levels are not of one kind.
    """
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, Subset):
        chosen = taken(source.dataset)[list(source.indices)]
        return dataclasses.replace(chosen, assigned=None)  # somebody has split them otherwise
    first, *others = map(taken, source.datasets)
    for other in others:
        if differing := [what for what in ALIKE if getattr(first, what) != getattr(other, what)]:
            raise DataError(f"sets that differ in {' and '.join(differing)} are not joined")
    return joined(first, *others)
