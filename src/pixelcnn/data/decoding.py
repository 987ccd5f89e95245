"""Decodes image files, several at a time, each straight into what is kept of it."""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pixelcnn.cores import cores
from pixelcnn.data.files import ImageFile
from pixelcnn.data.geometry import too_small
from pixelcnn.data.picture import How, Measured, read_picture
from pixelcnn.data.quantise import SOURCE, equal_bins
from pixelcnn.data.raw import check_finite
from pixelcnn.data.reading import QUANTISED, WITHOUT, Reading, typed
from pixelcnn.data.survey import FileReport
from pixelcnn.errors import DataError, ResourceError
from pixelcnn.text import printable

MOST = 8
"""Threads by default: each holds a whole picture."""
SMALL = 2**22
"""Bytes of all files together that are decoded before threads would help."""
LARGER = "--fit resize or --fit pad takes smaller ones (in Python fit=)"
"""What to do about small pictures."""


class Decoded(NamedTuple):
    """What became of one file."""

    report: FileReport
    pixels: np.ndarray | None
    """Levels as stored ``(channels, height, width)``; None for a file that cannot be used."""


def decode(file: ImageFile, reading: Reading) -> Decoded:
    """One file; a bad one has an error in place of pixels.

    Raises:
        ResourceError: it does not fit into memory.
    """
    if file.problem and reading.labels and reading.shape is None:
        hint = f"move them into one, take all without labels: {WITHOUT}"
        return Decoded(FileReport(file.name, file.problem, hint=hint), None)
    try:
        stored = reading.stored or reading.measured
        picture = read_picture(
            file.path, How(reading.wide, stored, reading.measured, reading.frame)
        )
        check_finite(picture.pixels)
        height, width = picture.size
        if reading.size and (reason := too_small(height, width, reading.size, reading.fit or "")):
            raise DataError(reason, hint=LARGER)
        if reading.channels == 1 and not picture.grey:
            raise DataError(
                "is in colour, but grey images are needed", hint=f"{typed('grey')} makes them grey"
            )
        pixels, largest, levels = picture.pixels, picture.largest, reading.source_levels
        if levels is not None and reading.stored and 0 < picture.sampled <= 2**picture.bits:
            pixels = equal_bins(2**picture.bits, picture.sampled)[pixels].astype(pixels.dtype)
            largest = int(pixels.max())
        if levels is not None and reading.stored and largest >= levels:
            raise DataError(
                f"holds the value {largest}, but {levels} levels are 0 to {levels - 1}",
                hint=f"say how many levels the values have, 256 if they fill their range, with {SOURCE}",
            )
    except DataError as error:
        hint = QUANTISED if isinstance(error, Measured) else error.hint
        return Decoded(FileReport(file.name, str(error), hint=hint), None)
    except ResourceError as error:
        raise ResourceError(f"{printable(file.name)} {error}", hint=error.hint) from error
    known = (height, width, len(pixels), picture.bits, largest)
    return Decoded(FileReport(file.name, "", picture.notes, *known), pixels)


def watched(files: Iterable[ImageFile], reading: Reading, where: str) -> Iterator[Decoded]:
    """As :func:`decoded`, with a bar on a terminal if it takes long."""
    from tqdm.std import tqdm

    hidden = not (sys.stderr and sys.stderr.isatty())
    total = len(files) if isinstance(files, Sequence) else None
    with tqdm(total=total, desc=f"reading {where}", disable=hidden, leave=False, delay=1) as bar:
        for each in decoded(files, reading):
            bar.update()
            yield each


def decoded(files: Iterable[ImageFile], reading: Reading) -> Iterator[Decoded]:
    """These files in their order, a few of them decoded ahead of what is asked for.

    Pillow lets other threads run while it decodes, so threads do what processes would, without starting
    any. Each holds one picture; they end with this iterator.
    """
    workers = _workers(files, reading)
    if not workers:
        yield from (decode(file, reading) for file in files)
        return
    pool = ThreadPoolExecutor(workers, "decode")
    ahead: deque[Future[Decoded]] = deque()
    try:
        for file in files:
            ahead.append(pool.submit(decode, file, reading))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _workers(files: Iterable[ImageFile], reading: Reading) -> int:
    """How many threads decode; 0 for none beside this one."""
    if reading.workers is not None:
        return reading.workers
    if not isinstance(files, Sequence) or not _large(files):
        return 0
    count = min(MOST, len(files), cores())
    return count if count > 1 else 0


def _large(files: Sequence[ImageFile]) -> bool:
    """Whether files are more than :data:`SMALL` bytes together; looks no further than needed."""
    total = 0
    for file in files:
        if not isinstance(file.path, Path):
            return False  # bytes are there already
        with contextlib.suppress(OSError):  # decoding says what is wrong with it
            total += os.stat(file.path).st_size
        if total > SMALL:
            return True
    return False
