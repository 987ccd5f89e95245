"""The named data sets with their official parts and our fixed splits."""

import dataclasses
import importlib.resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pixelcnn.data.course import PARTS, shapes, tinted
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.obtain import contents
from pixelcnn.data.official import DIGITS, OFFICIAL, OfficialSet
from pixelcnn.data.splits import Parts, joined, shuffled_parts
from pixelcnn.errors import ConfigError


class Facts(NamedTuple):
    """What a data set holds."""

    channels: int
    height: int
    width: int
    levels: int
    classes: int
    images: tuple[int, ...] = (0, 0, 0)
    """In its parts: training, validation and test."""


FACTS = {
    "digits": Facts(1, 8, 8, 17, 10, (1_297, 200, 300)),
    "mnist": Facts(1, 28, 28, 256, 10, (55_000, 5_000, 10_000)),
    "binarized-mnist": Facts(1, 28, 28, 2, 0, (50_000, 10_000, 10_000)),
    "fashion-mnist": Facts(1, 28, 28, 256, 10, (55_000, 5_000, 10_000)),
    "cifar-10": Facts(3, 32, 32, 256, 10, (45_000, 5_000, 10_000)),
    "shapes": Facts(1, 20, 20, 2, 3, PARTS),
    "shapes-colour": Facts(3, 20, 20, 4, 3, PARTS),
    "mnist-colour": Facts(3, 28, 28, 4, 10, (55_000, 5_000, 10_000)),
}
"""The named data sets."""
OWN = Facts(1, 28, 28, 256, 10)
"""What own data are taken for."""
DATASETS = tuple(FACTS)
"""Names that :func:`pixelcnn.data.load` knows."""


def named_splits(name: str, split: str, root: Path | None, download: bool) -> Splits:
    """A named set in three parts.

    Args:
        name: one of :data:`DATASETS`.
        split: ``standard``, or ``tutorial``: the official training and test part in one piece, of
            which the last tenth validates, as the tutorials do it. That puts test images into
            training, so it is for comparison with them only, and the parts are named after it.
        root: where to look first, see :func:`pixelcnn.data.obtain.folders`.
        download: fetch missing files.

    Raises:
        ConfigError: a split that this set does not have.
        DataError: files that are missing or damaged.
    """
    if split == "tutorial":
        return _tutorial(name, root, download)
    parts = _parts(name, root, download)
    if "val" in parts:
        return Splits(**parts)
    origin, *test = parts.values()
    cut = shuffled_parts(len(origin), *FACTS[name].images[: 3 - len(test)])
    pairs = zip(cut, Splits._fields, strict=False)
    return Splits(*(dataclasses.replace(origin[rows], split=part) for rows, part in pairs), *test)


def named_whole(name: str, root: Path | None, download: bool) -> ImageSet:
    """A named set in one piece: the official parts one after the other, in the order of the files."""
    return joined(*_parts(name, root, download).values())


def _parts(name: str, root: Path | None, download: bool) -> Parts:
    """A named set in the parts that it comes in."""
    if name == "digits":
        return {"all": embedded_digits()}
    if name == "mnist-colour":
        return {part: tinted(each) for part, each in _parts("mnist", root, download).items()}
    if name in ("shapes", "shapes-colour"):
        whole, ends = shapes(colour=name == "shapes-colour"), np.cumsum(PARTS).tolist()
        cuts = zip(Splits._fields, [0, *ends], ends, strict=False)
        return {
            part: dataclasses.replace(whole[start:end], split=part) for part, start, end in cuts
        }
    dataset = OFFICIAL[name]
    return {part: _part(dataset, part, root, download) for part in dataset.parts}


def embedded_digits() -> ImageSet:
    """The 1,797 digits of 8x8 pixels and 17 levels that come with the package.

    They are the test part of the UCI set "Optical Recognition of Handwritten Digits" by E. Alpaydin
    and C. Kaynak (1998), CC BY 4.0, as scikit-learn ships it.

    Example:
        >>> digits = embedded_digits()
        >>> len(digits), str(digits.shape), digits.levels
        (1797, '1x8x8', 17)
    """
    resource = importlib.resources.files("pixelcnn.data").joinpath("digits.npz")
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return ImageSet(
        torch.from_numpy(images[:, None]),
        levels=FACTS["digits"].levels,
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=DIGITS,
        name="digits",
    )


def _tutorial(name: str, root: Path | None, download: bool) -> Splits:
    """Training and test part in one piece; its last tenth validates, and is what is reported on."""
    usable = [each.name for each in OFFICIAL.values() if "val" not in each.parts]
    if name not in usable:
        raise ConfigError(f"{name} has no tutorial split", hint=f"these have: {', '.join(usable)}")
    whole = named_whole(name, root, download)
    kept = len(whole) - len(whole) // 10
    train = dataclasses.replace(whole[:kept], split="tutorial-train")
    val = dataclasses.replace(whole[kept:], split="tutorial-val")
    return Splits(train, val, val)


def _part(dataset: OfficialSet, part: str, root: Path | None, download: bool) -> ImageSet:
    """One official part, unsplit, in the order of its file."""
    pixels, labels = dataset.read(*contents(dataset, part, root, download))
    return ImageSet(
        torch.from_numpy(np.array(pixels)),
        levels=FACTS[dataset.name].levels,
        labels=None if labels is None else torch.from_numpy(labels.astype(np.int64)),
        classes=dataset.classes,
        name=dataset.name,
        split=part,
    )
