"""Looks at every file of a folder before anything is done with it, and reports."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixelcnn.data.files import ALONE, ImageFile, find_images
from pixelcnn.data.geometry import SMALLER, as_size, too_small
from pixelcnn.data.picture import Picture, read_picture
from pixelcnn.data.reading import Reading, typed
from pixelcnn.errors import DataError, ResourceError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

COLOUR = "is in colour, but grey images are needed"
BEYOND = "holds the value"
NAMED = 20
"""Bad files that one message names; the log and the report name all."""


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
    """1, 8 or 16 per sub-pixel."""
    largest: int = 255
    """Value of a sub-pixel as it is stored."""

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


@dataclasses.dataclass(frozen=True)
class FolderReport:
    """What :func:`check_folder` found."""

    folder: str
    files: tuple[FileReport, ...]
    problem: str = ""
    """What keeps the good files from becoming one set, such as different sizes."""
    hint: str = ""
    warning: str = ""
    """What the good files have in common that may not be meant, such as few values."""

    @property
    def errors(self) -> tuple[FileReport, ...]:
        """Files that cannot be used."""
        return tuple(each for each in self.files if each.error)

    @property
    def ok(self) -> bool:
        """Whether the folder can be trained on as it is."""
        return not self.errors and not self.problem

    @property
    def summary(self) -> str:
        """One line.

        Example:
            >>> FolderReport("cats", (FileReport("a.png"), FileReport("b.png", "is empty"))).summary
            'cats: 2 images, 1 good, 0 with a note, 1 bad'
        """
        counts = Counter(each.status for each in self.files)
        good = len(self.files) - counts["error"]
        text = f"{self.folder}: {len(self.files)} images, {good} good, {counts['note']} with a note"
        return f"{text}, {counts['error']} bad" + (f"; {self.problem}" if self.problem else "")


def check_folder(
    folder: Path | str,
    size: object = None,
    fit: str = "crop",
    source_levels: int | None = None,
) -> FolderReport:
    """Decodes every image of a folder and reports on each.

    Args:
        folder: looked through with all folders below.
        size: as for :func:`pixelcnn.data.load`.
        fit: as for :func:`pixelcnn.data.load`.
        source_levels: as for :func:`pixelcnn.data.load`.

    Raises:
        DataError: no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{printable(str(folder))} is not a folder")
    reading = Reading(size=as_size(size), fit=fit, source_levels=source_levels)
    reports = tuple(report for report, _ in examine(find_images(root), reading))
    good = [each for each in reports if not each.error]
    problem, hint = "", ""
    try:
        common_size(good, reading)
    except DataError as error:
        problem, hint = str(error), error.hint
    return FolderReport(printable(root.name), reports, problem, hint, few_values(good, reading))


def examine(
    files: Iterable[ImageFile], reading: Reading
) -> Iterator[tuple[FileReport, Picture | None]]:
    """Decodes one file after the other; bad ones have an error in place of a picture."""
    for file in files:
        if file.problem and reading.labels and reading.shape is None:
            yield FileReport(file.name, file.problem), None
            continue
        try:
            picture = read_picture(file.path, wide=reading.wide, stored=reading.stored)
            _check_use(picture, reading)
        except DataError as error:
            yield FileReport(file.name, str(error)), None
        except ResourceError as error:
            raise ResourceError(f"{printable(file.name)} {error}", hint=error.hint) from error
        else:
            channels, height, width = picture.pixels.shape
            known = (height, width, channels, picture.bits, picture.largest)
            yield FileReport(file.name, "", picture.notes, *known), picture


def _check_use(picture: Picture, reading: Reading) -> None:
    """Raises :class:`DataError` for a good image that cannot be brought to what is needed."""
    _, height, width = picture.pixels.shape
    if reading.size and (reason := too_small(height, width, reading.size, reading.fit)):
        raise DataError(reason)
    if reading.channels == 1 and not picture.grey:
        raise DataError(COLOUR)
    if reading.source_levels is not None and reading.stored:
        largest, levels = int(picture.pixels.max()), reading.source_levels
        if largest >= levels:
            raise DataError(f"{BEYOND} {largest}, but {levels} levels are 0 to {levels - 1}")


def few_values(good: list[FileReport], reading: Reading) -> str:
    """What to say of files whose values leave the upper three quarters of their range empty; else nothing.

    Dark pictures look like that, and so do masks, label maps, and 12 bits stored in 16.
    """
    if reading.source_levels is not None or not good or all(each.bits == 1 for each in good):
        return ""
    fullest = max(good, key=lambda each: each.largest / each.full)
    largest, full = fullest.largest, fullest.full
    if not 0 < largest <= full // 4:
        return ""
    levels = max(largest + 1, 2) if largest < 64 else 2 ** largest.bit_length()
    remedy = f"say {typed('source_levels')}".replace("levels=", f"levels={levels}")
    if levels == 256:
        remedy = "store them with 8 bits"
    return f"the largest value is {largest} of {full}: {remedy} if these are levels"


def common_size(good: list[FileReport], reading: Reading) -> tuple[int, int]:
    """Height and width asked for, else those that all files share.

    Raises:
        DataError: they differ, naming two files.
    """
    if reading.size is not None:
        return reading.size
    if not good:
        raise DataError("no good image")
    first = good[0]
    for other in good[1:]:
        if (other.height, other.width) != (first.height, first.width):
            raise DataError(
                f"images differ in size: {printable(first.name)} is {first.height}x{first.width}, "
                f"{printable(other.name)} is {other.height}x{other.width}",
                hint="give a size to bring them to: --size HEIGHTxWIDTH (in Python size=)",
            )
    return first.height, first.width


def accepted(reports: list[FileReport], where: str, skip_bad: bool) -> list[FileReport]:
    """The good files, after telling of every bad one and of what is done to the good.

    Raises:
        DataError: bad files that are not to be skipped, or nothing but bad files.
    """
    bad = [each for each in reports if each.error]
    good = [each for each in reports if not each.error]
    if bad and not (skip_bad and good):
        named = "; ".join(f"{printable(each.name)} {each.error}" for each in bad[:NAMED])
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        hint = _remedy(bad) + (", or leave them out: --skip-bad" if good else "")
        hint += ", `pixelcnn data check` lists them all" if more else ""
        raise DataError(
            f"{where}: {len(bad)} of {len(reports)} files cannot be used: {named}{more}", hint=hint
        )
    for each in bad:
        log.warning("%s: %s %s, skipped", where, printable(each.name), each.error)
    if bad:
        log.warning("%s: %d of %d files skipped", where, len(bad), len(reports))
    _tell(good, where)
    return good


def _remedy(bad: list[FileReport]) -> str:
    """What to do about files that cannot be used."""
    if all(SMALLER in each.error for each in bad):
        return "--fit pad or --fit resize takes smaller ones (in Python fit=)"
    if all(each.error == COLOUR for each in bad):
        return "make them grey, or take a model for colour"
    if all(each.error == ALONE for each in bad):
        return "move them into one, take all without labels: --set data.labels=false (in Python labels=False)"
    if all(BEYOND in each.error for each in bad):
        return f"say how many levels the values have: {typed('source_levels')}"
    return "mend or remove them"


def _tell(good: list[FileReport], where: str) -> None:
    """One line for each kind of thing that is done to files."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for each in good:
        counts.update(each.notes)
        for note in each.notes:
            first.setdefault(note, printable(each.name))
    for note, count in counts.items():
        log.warning("%s: %s: %d of %d files, first %s", where, note, count, len(good), first[note])
