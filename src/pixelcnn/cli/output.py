"""Where drawn images go: a grid, an animation, an array, or one picture each."""

import bisect
import io
import itertools
import math
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from pixelcnn import files, physical, plotting, png
from pixelcnn.cli.console import result, say
from pixelcnn.config import check_choice
from pixelcnn.data.npy import written_header
from pixelcnn.errors import ConfigError, ResourceError
from pixelcnn.text import counted

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

Kind = Literal["grid", "animation", "array", "folder"]
Unit = Literal["values", "levels"]
TO_FILE = "choose a file with --out"
MOST_PIXELS: dict[Kind, int] = {"grid": 2**25, "animation": 2**21}
"""Of a picture, and of each frame: more take gigabytes to write, and programs refuse to open them."""
PICTURES = {"grid": "a picture", "animation": "an animation"}
KINDS: dict[str, Kind] = {".png": "grid", ".gif": "animation", ".npy": "array", ".npz": "array"}


def kind_of(path: Path, *, json: bool = False) -> Kind:
    """What ``path`` asks for, by its suffix; checked before the drawing starts.

    A pipe or device whose name says nothing, as ``/dev/stdout``, gets a grid.

    Args:
        path: what ``--out`` says.
        json: whether stdout is for JSON.

    Raises:
        ConfigError: a suffix we do not write, a folder that cannot be there, or a terminal.
        OSError: the path cannot be written.

    Example:
        >>> kind_of(Path("samples.png")), kind_of(Path("samples"))
        ('grid', 'folder')
    """
    kind = KINDS.get(path.suffix.lower())
    if files.is_direct(path):
        make_way(path, json=json)
        if files.is_terminal(path):
            raise ConfigError(f"{path} is a terminal, which cannot show a picture", hint=TO_FILE)
        return kind or "grid"
    if kind is None and (path.suffix == "" or path.is_dir()):
        kind = "folder"
    if kind is None:
        raise ConfigError(
            f"cannot write {path.suffix} files ({path})",
            hint=".png is a grid, .gif the drawing, .npy and .npz the levels; "
            "a name without suffix, or a folder that is there, takes PNG files",
        )
    if kind != "folder":
        make_way(path)
        return kind
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file", hint="choose another folder with --out")
    path.mkdir(parents=True, exist_ok=True)
    return kind


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


def written_as(asked: str | None, kind: Kind, model: "PixelModel") -> Unit:
    """What an array of a model's images holds: measured values, unless levels are asked for, or are all.

    Args:
        asked: what ``--as`` says.
        kind: of output.
        model: of the images.

    Raises:
        ConfigError: values are asked for of a picture, or of a model that has none; or anything else.
    """
    bins = physical.bins_of(model)
    if asked is not None:
        check_choice("--as", asked, get_args(Unit))
    if asked == "values" and (kind != "array" or bins is None):
        reason = "pictures show levels" if bins else "the levels of this model stand for no values"
        raise ConfigError(f"--as values: {reason}", hint="--out with .npy or .npz takes both")
    if kind != "array" or bins is None or asked == "levels":
        return "levels"
    say(f"note: values, the centres of {bins.describe()}; --as levels writes levels")
    return "values"


def in_unit(batches: Iterable[Any], unit: Unit, model: "PixelModel") -> Iterable[Any]:
    """Levels as they come, as what is to be written of them."""
    if unit == "levels":
        return batches
    return (physical.values(model, batch) for batch in batches)


def check_room(
    kind: Kind, path: Path, count: int, model: "PixelModel", columns: int = 0, unit: Unit = "levels"
) -> None:
    """Whether so many images of a model make one picture, or fit on the disk; before they are drawn.

    Args:
        kind: of output.
        path: of the output.
        count: images in all, side by side in a picture.
        model: of the images.
        columns: images in a row of a picture; 0 for about a square.
        unit: of what is written.

    Raises:
        ConfigError: they make no picture that programs open; it says how many do.
        ResourceError: the array is larger than what is free on the disk.
    """
    most = MOST_PIXELS.get(kind)
    if most is None:
        if path.suffix.lower() == ".npy" and not files.is_direct(path):
            one = (
                physical.values(model, 0)
                if unit == "values"
                else torch.empty((), dtype=model.image_dtype)
            )
            _check_disk(path, count * model.shape.dimensions * one.itemsize)
        return

    _, height, width = model.shape

    def pixels(images: int) -> int:
        row = min(columns, images) or None
        return math.prod(plotting.canvas(images, height, width, row))

    if pixels(count) > most:
        fit = bisect.bisect_right(range(1, count), most, key=pixels)
        several = f"{count:,} images of {model.shape} are too many for {PICTURES[kind]}, which takes {fit:,}"
        raise ConfigError(
            several if fit else f"an image of {model.shape} is too large for {PICTURES[kind]}",
            hint="--out with .npy, .npz or a name without suffix (a folder) takes any size and number",
        )


def _check_disk(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.resolve().parent).free
    if size > free:
        raise ResourceError(
            f"{path} needs {size:,} bytes, {free:,} are free on its disk",
            hint="free some space, or write somewhere else with --out",
        )


def say_what_is_lost(kind: Kind, model: "PixelModel") -> None:
    """One line where pictures do not show all levels, or all channels, of a model's images."""
    lost, channels = [], model.shape.channels
    if channels > 3:
        lost.append(f"3 of {channels} channels")
    if model.levels > 256 and kind != "folder":
        lost.append(f"8 bits of {model.levels:,} levels")
    if lost and kind != "array":
        all_of_it = ".npy, .npz and a folder have" if channels <= 3 else ".npy and .npz have"
        say(f"note: pictures show {' and '.join(lost)}; {all_of_it} all")


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
