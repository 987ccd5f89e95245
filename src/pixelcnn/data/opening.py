"""Opening data files: what is found out of each before a reader touches it, and how its errors are named.

A reader trusts what it is given: that opening comes to an end, that a file is as long as its header says,
that there is room for what it declares. Here that is found out first, from the file itself and before
anything is allocated.
"""

import contextlib
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pixelcnn.errors import DataError, PixelCNNError, ResourceError
from pixelcnn.folders import at_home
from pixelcnn.memory import afford
from pixelcnn.registry import closest
from pixelcnn.text import printable

BESIDE = 1_000
"""Names in a folder among which one is looked for that may have been meant."""
MAX_SCANS = 200
"""Of a progressive JPEG, which has about ten; each costs as much time as a whole picture, and few bytes."""


def opened(path: Path) -> BinaryIO:
    """A regular file with something in it, open for reading; links are followed.

    Raises:
        DataError: the reason alone, to be put after the file's name.
    """
    try:
        # Opening alone can set a device to work, or wait for the end of a pipe.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError("is not a regular file")
        if status.st_size == 0:
            raise DataError("is empty")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise DataError(unreadable(error)) from error


def check_scans(stream: BinaryIO) -> None:
    """Refuses a JPEG file that begins more scans than a picture has; the place in it stays.

    Raises:
        DataError: the reason alone, to be put after the file's name.
    """
    place, scans, last = stream.tell(), 0, b""
    stream.seek(0)
    while block := stream.read(2**20):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:]
    stream.seek(place)
    if scans > MAX_SCANS:
        raise DataError(f"has more than {MAX_SCANS} scans")


def missing(path: Path | str) -> DataError:
    """That there is nothing at a path, what may have been meant, and where it was looked for."""
    folder, name = at_home(path).absolute().parent, Path(path).name
    beside: list[str] = []
    with contextlib.suppress(OSError):
        beside = [each.name for each in itertools.islice(folder.iterdir(), BESIDE)]
    near = closest(name, [each for each in beside if each != name])  # which may be a broken link
    hint = f"it was looked for in {printable(str(folder))}"
    if re.match(r"\w+:/", str(path)):  # of which Path leaves one slash
        near, hint = "", "download it first, and give the path of the file or the folder"
    elif set("*?") & set(name):
        near, hint = "", "give the folder itself"
    text = f"there is no file or folder {brief(str(path), 300)}"
    return DataError(f"{text}.{near}" if near else text, hint=hint)


def content(path: Path, times: int = 10) -> bytes:
    """All that a file holds.

    Args:
        path: of the file.
        times: how many bytes of memory each byte of it takes, once it is parsed.

    Raises:
        DataError: the reason alone, see :func:`opened`.
        ResourceError: the memory does not hold it.
    """
    with opened(path) as stream:
        afford(times * size_of(stream))
        return stream.read()


def size_of(stream: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size


def unreadable(error: Exception) -> str:
    """What a reader complains of, in one short line that can follow a file's name.

    Example:
        >>> unreadable(PermissionError(13, "Permission denied"))
        'cannot be read: Permission denied'
    """
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be read: {brief(text.splitlines()[0])}"


def brief(text: str, most: int = 200) -> str:
    """Text from a file that fits in one line, however long it is and whatever is in it.

    Example:
        >>> print(brief("a" + chr(27) + "b" * 9, most=6))
        a\\x1bb...
    """
    start = text[:most]
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
    return plain if len(plain) <= most and len(text) <= most else plain[:most] + "..."


@contextlib.contextmanager
def named(where: str, remedy: Callable[[Exception], str] = lambda _: "") -> Iterator[None]:
    """Puts a file's name before what is wrong with it; given damaged files, readers raise nearly anything.

    Args:
        where: the name.
        remedy: what to do about an exception that is none of this package.

    Raises:
        DataError: for every exception that is none of this package.
        ResourceError: for want of memory.
    """
    try:
        yield
    except PixelCNNError as error:
        text = str(error)
        if text.startswith((f"{where} ", f"{where}:")):
            raise
        raise type(error)(f"{where} {text}", hint=error.hint) from error
    except MemoryError as error:
        raise ResourceError(f"{where} does not fit into memory") from error
    except Exception as error:
        raise DataError(f"{where} {unreadable(error)}", hint=remedy(error)) from error
