"""Looks at data before anything is done with them, and reports."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.config import gated
from pixelcnn.data.content import content_key, content_keys
from pixelcnn.data.decoding import watched
from pixelcnn.data.files import class_labels, find_images, name_of
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.labels import labels_tensor
from pixelcnn.data.lazy import pieces
from pixelcnn.data.loading import load_all, parts_in
from pixelcnn.data.opening import missing
from pixelcnn.data.options import Fit, Levels
from pixelcnn.data.parts import FolderPart, image_parts
from pixelcnn.data.prepare import check_pixels, prepared_folder
from pixelcnn.data.reading import Reading, as_size
from pixelcnn.data.sets import DATASETS
from pixelcnn.data.sources import OF_PICTURES, check_useful, is_folder
from pixelcnn.data.survey import FileReport, all_bits, few_values, levels_of, settle
from pixelcnn.errors import DataError
from pixelcnn.folders import at_home, is_there
from pixelcnn.shapes import MAX_LEVELS, ImageShape
from pixelcnn.surroundings import independent
from pixelcnn.text import counted, printable


@dataclasses.dataclass(frozen=True)
class FolderReport:
    """What :func:`check_folder` found."""

    folder: str
    files: tuple[FileReport, ...]
    problem: str = ""
    """What keeps the good files from becoming one set, such as different sizes."""
    hint: str = ""
    """What to do about it; without a problem, how to keep what is lost of the files."""
    warning: str = ""
    """What the good files have in common that may not be meant, such as few values."""
    skip_bad: bool = False
    """Whether files that cannot be used are to be left out."""

    @property
    def errors(self) -> tuple[FileReport, ...]:
        """Files that cannot be used."""
        return tuple(each for each in self.files if each.error)

    @property
    def ok(self) -> bool:
        """Whether the folder can be trained on as it is."""
        return (self.skip_bad or not self.errors) and not self.problem

    @property
    def summary(self) -> str:
        """One line.

        Example:
            >>> FolderReport("cats", (FileReport("a.png"), FileReport("b.png", "is empty"))).summary
            'cats: 2 images, 1 good, 0 with a note, 1 bad'
        """
        counts = Counter(each.status for each in self.files)
        good = len(self.files) - counts["error"]
        images = counted(len(self.files), "image")
        text = f"{self.folder}: {images}, {good} good, {counts['note']} with a note"
        return f"{text}, {counts['error']} bad" + (f"; {self.problem}" if self.problem else "")


@dataclasses.dataclass(frozen=True)
class DataReport:
    """What :func:`check` found in data of any kind."""

    name: str
    parts: Mapping[str, int]
    """Images that can be used, of each part; of data in one piece the only part is ``all``."""
    shapes: Mapping[str, int]
    """How many images have each shape, as ``3x32x32``; the most frequent first."""
    levels: int
    """Values that a sub-pixel can take as it is stored; 0 if no image can be used."""
    occurring: int
    """Values that occur."""
    classes: Mapping[str, int]
    """Images of each class, by its name or number; empty without labels."""
    duplicates: int
    """Images that are the same as an earlier one of their part."""
    shared: Mapping[str, int]
    """Different images that lie in two parts, as ``train and test``."""
    folders: tuple[FolderReport, ...] = ()
    """What was found in the files of each part, if these are image files."""

    @property
    def ok(self) -> bool:
        """Whether the data can be trained on as they are."""
        return all(folder.ok for folder in self.folders)

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the images, a line each; nothing of none."""
        images, several = sum(self.parts.values()), len(self.parts) > 1
        if not images:
            return {"images": "0"}
        found = {
            "images": _counted(self.parts) if several else str(images),
            "shapes": _counted(self.shapes, 5) if len(self.shapes) > 1 else "".join(self.shapes),
            "levels": f"{self.levels}, {self.occurring} of them occur",
            "classes": _counted(self.classes) or "none",
            "duplicates": str(self.duplicates),
        }
        if several:
            found["in two parts"] = _counted(self.shared) or "none"
        return found


def _counted(counts: Mapping[str, int], most: int = 20) -> str:
    """Names and numbers in one line."""
    shown = ", ".join(f"{name}: {count}" for name, count in list(counts.items())[:most])
    return shown + (f", and {len(counts) - most} more" if len(counts) > most else "")


class Tally:
    """What is counted while images go by, one at a time."""

    def __init__(self) -> None:
        self.keys: dict[str, Counter[int]] = {}
        self.shapes: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.seen = np.zeros(MAX_LEVELS, bool)

    def add(self, part: str, pixels: np.ndarray) -> None:
        """An image as stored, ``(channels, height, width)``."""
        channels, height, width = pixels.shape
        shape = ImageShape(channels, height, width)
        self.shapes[str(shape)] += 1
        self.keys.setdefault(part, Counter())[content_key(shape, pixels.tobytes())] += 1
        self.seen[pixels.ravel()] = True

    def add_set(self, part: str, images: ImageSet) -> None:
        """Images of one shape."""
        self.shapes[str(images.shape)] += len(images)
        self.keys.setdefault(part, Counter()).update(content_keys(images.images).tolist())
        for piece in pieces(images.images):
            self.seen[images.images[piece].numpy().ravel()] = True

    def add_labels(self, labels: Any, classes: tuple[str, ...] = ()) -> None:
        """The classes of images, as numbers or as words; None of those that have none."""
        if labels is not None:
            numbers, names = labels_tensor(labels, classes)
            self.classes.update(names[i] if names else str(i) for i in sorted(numbers.tolist()))

    def report(self, name: str, levels: int, folders: tuple[FolderReport, ...] = ()) -> DataReport:
        """What has been counted."""
        both = combinations(self.keys.items(), 2)
        shared = {f"{a} and {b}": len(x.keys() & y.keys()) for (a, x), (b, y) in both}
        return DataReport(
            name,
            {part: keys.total() for part, keys in self.keys.items()},
            dict(self.shapes.most_common()),
            levels,
            int(self.seen.sum()),
            dict(self.classes),
            sum(keys.total() - len(keys) for keys in self.keys.values()),
            {pair: count for pair, count in shared.items() if count},
            folders,
        )


@independent
@gated
def check(
    data: Path | str,
    size: object = None,
    fit: Fit | None = None,
    source_levels: Levels | None = None,
    *,
    layout: str | None = None,
    key: str | None = None,
    label_column: str | None = None,
    skip_bad: bool = False,
) -> DataReport:
    """Reads every image of a data set, and reports what there is.

    Args:
        data: a folder of images, perhaps with folders for its parts, an array, a table, or a named set.
        size: as for :func:`pixelcnn.data.load`.
        fit: as for :func:`pixelcnn.data.load`.
        source_levels: as for :func:`pixelcnn.data.load`.
        layout: as for :func:`pixelcnn.data.load`.
        key: as for :func:`pixelcnn.data.load`.
        label_column: as for :func:`pixelcnn.data.load`.
        skip_bad: as for :func:`pixelcnn.data.load`.

    Raises:
        ConfigError: an option that does not go with the data.
        UnknownName: no such data, and they look like the name of a set.
        DataError: no such data, no image in them, or an array or a table that cannot be used.

    Example:
        >>> check("digits").facts["classes"][:16]
        '0: 178, 1: 182, '
    """
    tally = Tally()
    asked: Any = {
        "size": size, "fit": fit, "source_levels": source_levels, "layout": layout, "key": key,
        "label_column": label_column, "skip_bad": skip_bad,
    }  # fmt: skip
    if data not in DATASETS and is_folder(data):
        path = at_home(data)
        reading = Reading(**asked | {"size": as_size(size)})
        check_useful(reading, OF_PICTURES, path)
        parts = image_parts(path).items()
        found = [_checked(files, part, reading.of_pictures, tally) for part, files in parts]
        name = name_of(path)
        levels = max((levels for _, levels in found), default=0)
        return tally.report(name, levels, tuple(report for report, _ in found))
    if data not in DATASETS and (packed := prepared_folder(at_home(data))) is not None:
        check_pixels(packed)
    sets = {"all": load_all(data, **asked)} if data in DATASETS else parts_in(data, **asked)
    for part, images in sets.items():
        tally.add_set(part, images)
        tally.add_labels(images.labels, images.classes)
    first = next(iter(sets.values()))
    return tally.report(first.name, first.levels)


@independent
@gated
def check_folder(
    folder: Path | str,
    size: object = None,
    fit: Fit | None = None,
    source_levels: Levels | None = None,
) -> FolderReport:
    """Decodes every image of a folder and reports on each file; see :func:`check` for the images in them.

    Args:
        folder: looked through with all folders below.
        size: as for :func:`pixelcnn.data.load`.
        fit: as for :func:`pixelcnn.data.load`.
        source_levels: as for :func:`pixelcnn.data.load`.

    Raises:
        DataError: no such folder, or no image in it.
    """
    root = at_home(folder)
    if not is_there(root):
        raise missing(folder)
    if not root.is_dir():
        raise DataError(f"{printable(str(folder))} is not a folder")
    reading = Reading(size=as_size(size), fit=fit, source_levels=source_levels).of_pictures
    files = find_images(root)
    whole = FolderPart(name_of(root), files, [file.name for file in files])
    return _checked(whole, "all", reading, Tally())[0]


def _checked(
    files: FolderPart, part: str, reading: Reading, tally: Tally
) -> tuple[FolderReport, int]:
    """A report on the files of a folder, and the levels of its images; 0 if none can be used."""
    where, reports = files.name, []
    for report, pixels in watched(files.files, reading, where):
        reports.append(report)
        if pixels is not None:
            tally.add(part, pixels)
    good = [each for each in reports if not each.error]
    problem, hint, levels = "", "", 0
    if good:
        tally.add_labels(class_labels([each.name for each in good], tuple(tally.classes)))
        levels = levels_of(good, reading)
    try:
        levels = settle(good, reading, where).levels
    except DataError as error:
        problem, hint = str(error).removeprefix(f"{where}: "), error.hint
    hint, warning = hint if problem else all_bits(good, reading), few_values(good, reading)
    return FolderReport(where, tuple(reports), problem, hint, warning, reading.skip_bad), levels
