"""Files of images: an array, a picture of all, or one of each; and whether they can be written."""

import io
import itertools
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn import files, png
from pixelcnn.cli.console import result, say
from pixelcnn.data.npy import written_header
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.errors import ConfigError
from pixelcnn.folders import BEST
from pixelcnn.text import counted, printable

TO_FILE = "choose a file with --out"


def check_target(
    path: Path,
    *read: str | None,
    json: bool = False,
    replace: bool = True,
    terminal: bool = True,
    make: bool = True,
) -> None:
    """Looks whether a file can be written; before the work whose result it is.

    Args:
        path: what ``--out`` says.
        read: what the command reads, see :func:`refuse_read`.
        json: whether stdout is for JSON.
        replace: whether a file that is there may be replaced; what is no regular file is written into.
        terminal: whether it may go to one, not being bytes.
        make: makes its folder, and looks whether that can be written into.

    Raises:
        ConfigError: the path is a folder, is there, is read, or is stdout or a terminal that may not be.
        OSError: the path cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="choose another name with --out")
    if path.exists() and files.is_direct(path):
        if json and files.is_stdout(path):
            raise ConfigError(f"{path} and --json would both be stdout", hint=TO_FILE)
        if not terminal and files.is_terminal(path):
            hint = TO_FILE if replace else f"{TO_FILE}; -f writes there all the same"
            raise ConfigError(f"{path} is a terminal, and these are bytes", hint=hint)
    elif path.exists():
        if not replace:
            raise ConfigError(f"{path} is there already", hint="-f replaces it, -o names another")
        refuse_read(path, *read)
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.check_target(path)


def refuse_read(target: Path, *read: str | None) -> None:
    """Refuses to replace a file that the same command reads, or to write among the pictures that it reads.

    A new picture in such a folder is let pass; the next time it would be read, and then it is there.

    Args:
        target: file or folder that is to be written; looked at before it is made.
        read: model, data and other files as the user calls them; what is no path is passed over.

    Raises:
        ConfigError: the target is one of them, or lies in one.

    Example:
        >>> refuse_read(Path("samples.png"), "mnist", "hf:ada/cats", None)
    """
    if not os.path.exists(target) or files.is_direct(target):
        return
    words = [os.path.expanduser(word) for word in read if word]
    for path in (*words, *(os.path.join(word, BEST) for word in words)):
        if os.path.isfile(path) and os.path.samefile(path, target):
            raise ConfigError(
                f"{target} is read by this command", hint="choose another name with --out"
            )
    if not os.path.isdir(target) and target.suffix.lower() not in SUFFIXES:
        return
    for folder in filter(os.path.isdir, words):
        run = os.path.isfile(os.path.join(folder, BEST))  # read for the model in it
        if not run and target.resolve().is_relative_to(os.path.realpath(folder)):
            raise ConfigError(
                f"{target} lies in {printable(folder)}, whose pictures this command reads",
                hint="choose a place beside it with --out",
            )


def done(path: Path) -> None:
    """Says where the result is; on stdout, unless the result is there."""
    (say if files.is_stdout(path) else result)(str(path))


def save_array(
    batches: Iterable[Any],
    count: int,
    path: Path,
    levels: int,
    given: Mapping[str, Any] | None = None,
) -> list[str]:
    """Writes images (n, c, h, w) as they come; an ``.npz`` says how many there are, and what they were given.

    Args:
        batches: levels or values (some, c, h, w), at least one of them.
        count: images of all batches together.
        path: its suffix is ``.npy`` or ``.npz``.
        levels: the number of levels.
        given: more arrays, such as ``labels``.
    """
    parts = _npy(batches, count)
    if path.suffix.lower() != ".npy":
        named = {"images": parts, "levels": _npy([np.array(levels)])}
        named |= {name: _npy([values]) for name, values in (given or {}).items()}
        parts = _npz(named)
    return write(path, parts)


def _npy(batches: Iterable[Any], count: int | None = None) -> Iterator[bytes]:
    """The parts of an ``.npy`` file of all rows of some arrays, or of one array as it is."""
    arrays = iter(map(np.asarray, batches))
    first = next(arrays)
    yield written_header(first.dtype, first.shape if count is None else (count, *first.shape[1:]))
    for array in itertools.chain([first], arrays):
        yield array.tobytes()


class _Pipe(io.RawIOBase):
    """What was written since it was last asked for."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: Any) -> int:
        self.parts.append(bytes(part))
        return len(part)

    def taken(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def _npz(arrays: Mapping[str, Iterable[bytes]]) -> Iterator[bytes]:
    """The parts of an ``.npz`` archive, compressed, of the parts of ``.npy`` files."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, parts in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for part in parts:
                    member.write(part)
                    yield pipe.taken()
    yield pipe.taken()


def save_each(
    batches: Iterable[Any], count: int, folder: Path, levels: int, name: str = "sample"
) -> list[str]:
    """Writes one PNG an image as they come, ``sample-0000.png`` and so on, at its own size.

    Args:
        batches: levels (some, c, h, w).
        count: images of all batches together; their names are of one length.
        folder: where to.
        levels: the number of levels.
        name: what the names begin with.
    """
    digits, paths = max(4, len(str(count - 1))), list[str]()
    before = {str(path) for path in folder.glob("*.png")}
    for batch in batches:
        for content in png.files(batch, levels):
            path = folder / f"{name}-{len(paths):0{digits}d}.png"
            paths += write(path, content)
    if others := len(before.difference(paths)):
        more = counted(others, "more PNG file")
        say(f"note: {folder} holds {more}, there before")
    return paths


def save_picture(picture: Any, path: Path) -> list[str]:
    """Writes a picture of several images as PNG, whole or not at all."""
    return write(path, png.page(picture))


def write(path: Path, content: bytes | Iterable[bytes]) -> list[str]:
    """Writes a file, whole or not at all, in place of what was there; gives its path."""
    files.write_atomically(path, content)
    return [str(path)]
