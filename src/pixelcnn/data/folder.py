"""A folder of images: found, checked, and brought to one size and one number of channels."""

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from pixelcnn.data.geometry import cropped, padded, too_small
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.picture import FORMATS, SUFFIXES, Picture, read_picture
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape

log = logging.getLogger("pixelcnn")

NAMED = 20
"""Bad files that one message names; the log names all."""


@dataclasses.dataclass(frozen=True)
class Found:
    """An image file, and its name below the folder with ``/`` between the parts."""

    path: Path
    name: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What must be known of a picture before all are brought to one shape."""

    name: str
    height: int
    width: int
    channels: int
    bits: int
    grey: bool
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Target:
    """The shape and depth that every picture of a folder is brought to."""

    shape: ImageShape
    levels: int
    fit: str

    @property
    def dtype(self) -> type[np.generic]:
        """Of the levels in memory."""
        return np.uint8 if self.levels <= 256 else np.int32


def printable(name: str) -> str:
    """A file name that fits in one line, whatever is in it.

    Example:
        >>> printable("two\\nlines.png")
        'two\\\\nlines.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def find_images(root: Path) -> list[Found]:
    """The image files in a folder and all folders below, in the order of their names' bytes.

    Files are known by their suffix; hidden ones and others are left out. Linked folders are followed,
    each at most once, so links in a circle do no harm.

    Raises:
        DataError: a folder that cannot be read.
    """
    found, others, visited = [], 0, set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_unreadable):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=os.fsencode)
        for file in files:
            path = Path(parent, file)
            if path.suffix.lower() in SUFFIXES and not file.startswith("."):
                found.append(Found(path, path.relative_to(root).as_posix()))
            else:
                others += 1
    if others:
        log.info("%s: %d files are no images by their names, left out", printable(root.name), others)
    return sorted(found, key=lambda each: os.fsencode(each.name))


def _unreadable(error: OSError) -> None:
    name = printable(str(error.filename))
    raise DataError(f"{name} cannot be read: {error.strerror}") from error


def examine(
    files: Iterable[Found], reading: Reading
) -> Iterator[tuple[Facts, Picture] | tuple[str, DataError]]:
    """Decodes each file: what it is and holds, or its name and why it cannot be used."""
    for file in files:
        try:
            picture = read_picture(file.path, wide=reading.wide)
            channels, height, width = picture.pixels.shape
            if reading.size and too_small(height, width, reading.size, reading.fit):
                reason = too_small(height, width, reading.size, reading.fit)
                raise DataError(f"{reason} (fit pad takes it)")
            grey = channels == 1 or (reading.channels == 1 and picture.grey)
            if reading.channels == 1 and not grey:
                raise DataError("is in colour, but grey images are needed")
        except DataError as error:
            yield file.name, error
        else:
            facts = Facts(file.name, height, width, channels, picture.bits, grey, picture.notes)
            yield facts, picture


def refuse(bad: list[tuple[str, DataError]], total: int, where: str, skip_bad: bool) -> None:
    """Names every bad file, and raises unless they are to be skipped.

    Raises:
        DataError: bad files, or no good one.
    """
    for name, error in bad:
        log.warning("%s %s", printable(name), error)
    if skip_bad and len(bad) < total:
        if bad:
            log.warning("%s: %d of %d files skipped", where, len(bad), total)
        return
    if not bad:
        return
    named = "; ".join(f"{printable(name)} {error}" for name, error in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    raise DataError(
        f"{where}: {len(bad)} of {total} files cannot be used: {named}{more}",
        hint="mend or remove them" if len(bad) == total else "mend or remove them, or skip bad files",
    )


def settle(facts: list[Facts], reading: Reading, where: str) -> Target:
    """The shape for all pictures: their own if they agree, else what was asked for.

    Raises:
        DataError: sizes differ, and none was asked for.
    """
    if reading.size is None:
        first = facts[0]
        for other in facts[1:]:
            if (other.height, other.width) != (first.height, first.width):
                raise DataError(
                    f"{where}: images differ in size: {printable(first.name)} is "
                    f"{first.height}x{first.width}, {printable(other.name)} is "
                    f"{other.height}x{other.width}",
                    hint="give a size to crop or pad them to",
                )
    size = reading.size or (facts[0].height, facts[0].width)
    kinds = Counter(each.channels for each in facts)
    channels = reading.channels or max(kinds)
    if set(kinds) != {channels}:
        changed = len(facts) - kinds[channels]
        to = "RGB" if channels == 3 else "grey"
        log.warning("%s: %d of %d images made %s, as the others are", where, changed, len(facts), to)
    two_levels = reading.levels in {None, 2} and all(each.bits == 1 for each in facts)
    levels = 2 if two_levels else 65_536 if reading.wide else 256
    return Target(ImageShape(channels, *size), levels, reading.fit)


def conform(picture: Picture, target: Target) -> np.ndarray:
    """A picture's levels ``(channels, height, width)`` in the shape of all."""
    pixels, channels = picture.pixels, target.shape.channels
    if channels == 1:
        pixels = pixels[:1]
    elif len(pixels) == 1:
        pixels = np.repeat(pixels, channels, axis=0)
    size = (target.shape.height, target.shape.width)
    if target.fit == "resize":
        pixels = resized(pixels, size)
    pixels = padded(cropped(pixels, size), size)
    if target.levels == 2:
        return (pixels > 0).astype(np.uint8)
    return pixels.astype(target.dtype)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled without distortion (Lanczos) until the shorter side fits; the rest is to be cropped."""
    from PIL import Image

    height, width = pixels.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    to = (max(round(width * scale), size[1]), max(round(height * scale), size[0]))
    if pixels.dtype == np.uint8:
        planes = [Image.fromarray(plane).resize(to, Image.Resampling.LANCZOS) for plane in pixels]
        return np.stack([np.asarray(plane) for plane in planes])
    deep = [Image.fromarray(plane.astype(np.float32)) for plane in pixels]
    planes = [plane.resize(to, Image.Resampling.LANCZOS) for plane in deep]
    return np.stack([np.asarray(p).round().clip(0, 65_535).astype(np.uint16) for p in planes])


def say(facts: Iterable[Facts], where: str) -> None:
    """Tells of everything that was done to files, one line a kind."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for each in facts:
        for note in each.notes:
            counts[note] += 1
            first.setdefault(note, each.name)
    for note, count in counts.items():
        log.warning("%s: %s: %d files, the first is %s", where, note, count, printable(first[note]))


def class_labels(names: list[str]) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """Labels from the first folder of each name, if every image lies in one and there are several.

    Example:
        >>> class_labels(["cat/1.png", "dog/1.png", "cat/2.png"])
        (tensor([0, 1, 0]), ('cat', 'dog'))
    """
    if not all("/" in name for name in names):
        return None, ()
    folders = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(folders))
    if len(classes) < 2:
        return None, ()
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[folder] for folder in folders]), tuple(map(printable, classes))


def read_files(files: list[Found], reading: Reading, where: str) -> ImageSet:
    """Image files as one set.

    Raises:
        DataError: none, bad ones (all are named), or different sizes where none was asked for.
    """
    if not files:
        raise DataError(f"{where} holds no images", hint=f"known formats: {', '.join(FORMATS)}")
    good, bad = [], []
    for each in examine(files, reading):
        (good if isinstance(each[0], Facts) else bad).append(each)
    refuse(bad, len(files), where, reading.skip_bad)  # type: ignore[arg-type]
    facts = [each[0] for each in good]
    target = settle(facts, reading, where)  # type: ignore[arg-type]
    say(facts, where)  # type: ignore[arg-type]
    pixels = np.empty((len(good), *target.shape), dtype=target.dtype)
    for row, (_, picture) in enumerate(good):
        pixels[row] = conform(picture, target)  # type: ignore[arg-type]
    names = [each.name for each in facts]  # type: ignore[union-attr]
    labels, classes = class_labels(names)
    return ImageSet(
        torch.from_numpy(pixels), target.levels, labels, classes,
        name=where, names=tuple(names), skipped=len(bad),
    )  # fmt: skip
