"""Files of images: an array, a picture of all, or one of each; and whether they can be written."""

import io
import itertools
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn import files, png
from pixelcnn.cli.console import result, say
from pixelcnn.data.npy import written_header
from pixelcnn.errors import ConfigError
from pixelcnn.text import counted

TO_FILE = "choose a file with --out"


def make_way(path: Path, *, json: bool = False) -> None:
    """Makes the folder of a file that is to be written, and looks whether it can be; before the work starts.

    Args:
        path: what ``--out`` says.
        json: whether stdout is for JSON.

    Raises:
        ConfigError: the path is a folder, or stdout where that is taken.
        OSError: the path cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="choose another name with --out")
    if json and files.is_stdout(path):
        raise ConfigError(f"{path} and --json would both be stdout", hint=TO_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.check_target(path)


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
