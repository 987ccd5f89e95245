"""What was found in the files of a folder: what is said of it, and the one shape and depth of all."""

import dataclasses
import logging
import math
from collections import Counter

import numpy as np
import torch

from pixelcnn.data.geometry import SCALED
from pixelcnn.data.picture import OPAQUE, SEEN_THROUGH, SHALLOW
from pixelcnn.data.quantise import sourced
from pixelcnn.data.reading import Reading
from pixelcnn.data.refusal import refusal
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape
from pixelcnn.text import counted, printable

log = logging.getLogger("pixelcnn")

DONE = {
    "resize": "resized to",
    "nearest": "scaled without mixing pixels to",
    "crop": "cropped to the central",
    "pad": "cropped or padded to",
    "patches": "cut into patches of",
}
"""What is said of pictures that are brought to a size."""
TOLD = "told"
"""Attribute of log records that say the same: ``each`` of several things, or ``all`` of them in one line."""


@dataclasses.dataclass(frozen=True)
class FileReport:
    """One file: what it is and what has to be done to it, or why it cannot be used."""

    name: str
    """Below the folder, with ``/`` between the parts."""
    error: str = ""
    notes: tuple[str, ...] = ()
    height: int = 0
    width: int = 0
    channels: int = 0
    bits: int = 0
    """1, 8, 16 or 32 per sub-pixel."""
    largest: int = 255
    """Value of a sub-pixel as it is stored."""
    hint: str = ""
    """What to do about the error, if that is known."""

    @property
    def full(self) -> int:
        """The largest value that could be stored."""
        return 65_535 if self.bits == 16 else 255

    @property
    def status(self) -> str:
        """``ok``, ``note`` or ``error``."""
        return "error" if self.error else "note" if self.notes else "ok"

    @property
    def detail(self) -> str:
        """One line about the file."""
        kind = "grey" if self.channels == 1 else "RGB"
        known = f"{self.height}x{self.width} {kind}"
        return self.error or ", ".join((known, *self.notes))


def accepted(reports: list[FileReport], where: str, skip_bad: bool) -> list[FileReport]:
    """The good files, after telling of every bad one and of what is done to the good.

    Raises:
        DataError: bad files that are not to be skipped, or nothing but bad files.
    """
    bad = [each for each in reports if each.error]
    good = [each for each in reports if not each.error]
    if bad and not (skip_bad and good):
        raise refusal([(each.name, each.error, each.hint) for each in bad], len(reports), where)
    for each in bad:
        told = {TOLD: "each"} if bad[1:] else {}
        log.warning("%s: %s %s, skipped", where, printable(each.name), each.error, extra=told)
    if bad:
        log.warning("%s: %d of %s skipped", where, len(bad), counted(len(reports), "file"))
    _tell(good, where)
    return good


def _tell(good: list[FileReport], where: str) -> None:
    """One line for each kind of thing that is done to files, and if there are several one of all."""
    counts = Counter(note for each in good for note in each.notes)
    first = {note: printable(each.name) for each in reversed(good) for note in each.notes}
    level, told = (logging.INFO, {TOLD: "each"}) if len(counts) > 1 else (logging.WARNING, {})
    for note, count in counts.items():
        named = (where, note, count, counted(len(good), "file"), first[note])
        log.log(level, "%s: %s: %d of %s, first %s", *named, extra=told)
    if told:
        changed = [printable(each.name) for each in good if each.notes]
        words = "%s: %d of %d files change when they are read, first %s; 'pixelcnn data check' shows how"
        log.warning(words, where, len(changed), len(good), changed[0], extra={TOLD: "all"})


@dataclasses.dataclass(frozen=True)
class Target:
    """Shape and levels of every image of a set that comes from files."""

    shape: ImageShape
    """Of the images, or of the patches."""
    levels: int
    measured: np.dtype | None = None
    """Type of measured values, which are no levels yet."""

    @property
    def dtype(self) -> "np.dtype | type[np.generic]":
        """Of the values in memory."""
        if self.measured is not None:
            return self.measured
        return np.uint8 if self.levels <= 256 else np.int32

    def conform(self, pixels: np.ndarray) -> np.ndarray:
        """A picture's levels ``(channels, height, width)`` with the channels and the depth of all."""
        channels = self.shape.channels
        if channels == 1:
            pixels = pixels[:1]
        elif len(pixels) == 1:
            pixels = np.repeat(pixels, channels, axis=0)
        if self.levels == 2 and self.measured is None:
            pixels = pixels > 0
        return np.require(pixels, self.dtype, ["C", "W"])

    def together(
        self, pictures: list[np.ndarray], *, apart: bool
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Pictures as one tensor, and one by one if they may differ in size; each is dropped from the list.

        Those of different sizes are no array: there a single pixel of each only stands for it.
        """
        shape = (self.shape.channels, 1, 1) if apart else self.shape
        pixels, single = np.zeros((len(pictures), *shape), self.dtype), []
        for row, picture in enumerate(pictures):
            conforming = self.conform(picture)
            pictures[row] = np.empty(0)  # so that the picture is in memory once
            if apart:
                single.append(torch.from_numpy(conforming))
            else:
                pixels[row] = conforming
        return torch.from_numpy(pixels), single


def settle(good: list[FileReport], reading: Reading, where: str) -> Target:
    """The shape that was asked for, else the files' own; colour if any file has colour.

    Raises:
        DataError: sizes differ and none was asked for, channels that files cannot have, or levels that are
            names and would be mixed.
    """
    size = common_size(good, reading, where)
    kinds = Counter(each.channels for each in good)
    channels = reading.channels or max(kinds)
    if channels not in {1, 3}:
        raise DataError(f"{where}: image files have 1 or 3 channels, {channels} are needed")
    changed = len(good) - kinds[channels]
    if changed and not reading.grey:  # made grey anyway, what lies between is nobody's concern
        kind = "RGB" if channels == 3 else "grey"
        of = counted(len(good), "image")
        log.warning("%s: %d of %s brought to %s", where, changed, of, kind)
    levels = levels_of(good, reading)
    _tell_size(good, reading, size, levels, where)
    _tell_values(good, reading, where)
    return Target(ImageShape(channels, *size), levels)


def _tell_size(
    good: list[FileReport], reading: Reading, size: tuple[int, int], levels: int, where: str
) -> None:
    """Says how pictures of other sizes are brought to this one, unless it would mix levels that are names."""
    others = [each for each in good if (each.height, each.width) != size]
    fit, to = reading.fit or "resize", "{}x{}".format(*size)
    if not others:
        return
    if fit == "resize" and (reading.stored or levels == 2):
        kind = f"the values are {levels} levels" if reading.stored else "they are black and white"
        raise DataError(
            f"{where}: {sizes(others)} would be resized to {to}, but {kind}, and resizing mixes them",
            hint="keep them with --fit nearest, crop or pad (in Python fit=)"
            + ("" if reading.stored else f"; or make grey of them: say {sourced(256)}"),
        )
    smaller = [each for each in others if each.height < size[0] or each.width < size[1]]
    enlarged = f", {len(smaller)} of {len(good)} enlarged" if smaller and fit in SCALED else ""
    cut = any(each.height * size[1] != each.width * size[0] for each in others)
    rest = ", the longer side cropped" if cut and fit in SCALED else ""
    log.warning("%s: %s %s %s%s%s", where, sizes(others), DONE[fit], to, rest, enlarged)


def _tell_values(good: list[FileReport], reading: Reading, where: str) -> None:
    """Says that few values occur; they would all be black to train on if they are below the levels wanted."""
    few, full = few_values(good, reading), max(each.full for each in good)
    darkest = max(each.largest for each in good) < (reading.wanted or 0)
    # A model's images may be as dark as they like.
    if few and darkest and reading.usual_levels is None:
        raise DataError(
            f"{where}: {few}",
            hint=f"if they are dark, and 0 to {full} is their range, say {full + 1}",
        )
    if few:
        log.warning("%s: %s", where, few)


def levels_of(good: list[FileReport], reading: Reading) -> int:
    """What was said, else 2 if every file has one bit and nothing speaks against it, else 256 or 65,536."""
    if reading.source_levels is not None and reading.stored:
        return reading.source_levels
    wanted = reading.wanted in {None, 2} and reading.source_levels is None
    if wanted and all(each.bits == 1 for each in good):
        return 2
    return 65_536 if reading.wide else 256


def few_values(good: list[FileReport], reading: Reading) -> str:
    """What to say of files whose values leave the upper three quarters of their range empty; else nothing.

    Dark pictures look like that, and so do masks, label maps, and 12 bits stored in 16.
    """
    if reading.measured or reading.source_levels is not None or not good:
        return ""
    if all(each.bits == 1 for each in good):
        return ""
    fullest = max(good, key=lambda each: each.largest / each.full)
    largest, full = fullest.largest, fullest.full
    if not 0 < largest <= full // 4:
        return ""
    levels = max(largest + 1, 2) if largest < 64 else 2 ** largest.bit_length()
    remedy = "store them with 8 bits" if levels == 256 else f"say {sourced(levels)}"
    return f"the largest value is {largest} of {full}: {remedy} if these are levels"


def all_bits(good: list[FileReport], reading: Reading) -> str:
    """How files keep the 16 bits that were reduced to 8; empty if not all of them can, or it is said already.

    Example:
        >>> all_bits([FileReport("a", notes=(SHALLOW,), channels=1, bits=16, largest=40_000)], Reading())
        'to keep all bits, say 65536 with source_levels (training: --set data.source_levels=65536; else \
--source-levels 65536)'
    """
    kept = all(
        SHALLOW in each.notes
        and SEEN_THROUGH not in each.notes
        and (each.channels == 3 or OPAQUE not in each.notes)
        and not (each.channels == 3 and each.name.lower().endswith((".ppm", ".pnm")))
        for each in good
    )
    if not (good and kept) or reading.wide or few_values(good, reading):
        return ""
    return f"to keep all bits, say {sourced(2 ** max(each.largest for each in good).bit_length())}"


def common_size(good: list[FileReport], reading: Reading, where: str) -> tuple[int, int]:
    """Height and width asked for, else those that all files share.

    Raises:
        DataError: they differ, naming two files; or there is none.
    """
    if not good:
        raise DataError(f"{where}: no good image")
    if reading.size is not None:
        return reading.size
    first = good[0]
    for other in good[1:]:
        if (other.height, other.width) != (first.height, first.width):
            raise DataError(
                f"{where}: images differ in size: {printable(first.name)} is {first.height}x"
                f"{first.width}, {printable(other.name)} is {other.height}x{other.width}",
                hint="give a size to bring them to: --size HEIGHTxWIDTH (in Python size=)",
            )
    return first.height, first.width


def sizes(good: list[FileReport]) -> str:
    """The sizes of some files, in words.

    Example:
        >>> some = [FileReport("a", height=4, width=6), FileReport("b", height=8, width=8)]
        >>> sizes(some[:1]), sizes(some)
        ('4x6', '4x6 and 8x8')
    """
    found = sorted(
        {(each.height, each.width) for each in good}, key=lambda size: (math.prod(size), size)
    )
    low, high = (f"{height}x{width}" for height, width in (found[0], found[-1]))
    if len(found) < 3:
        return low if len(found) == 1 else f"{low} and {high}"
    return f"{len(found)} sizes from {low} to {high}"
