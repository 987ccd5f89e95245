"""Where drawn images go: a grid, an animation, an array, or one picture each."""

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixelcnn import files
from pixelcnn.cli.console import result, say
from pixelcnn.errors import ConfigError

Kind = Literal["grid", "animation", "array", "folder"]
TO_FILE = "choose a file with --out"
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
            "a name without suffix is a folder of PNG files",
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


def save_array(images: Any, path: Path, labels: list[int] | None = None) -> list[Path]:
    """Writes levels (n, c, h, w); an ``.npz`` has the keys ``images`` and, if given, ``labels``."""
    buffer = io.BytesIO()
    levels = np.asarray(images)
    if path.suffix.lower() == ".npy":
        np.save(buffer, levels)
    elif labels is None:
        np.savez_compressed(buffer, images=levels)
    else:
        np.savez_compressed(buffer, images=levels, labels=np.array(labels))
    return write(path, buffer.getvalue())


def save_each(images: Any, folder: Path, levels: int, name: str = "sample") -> list[Path]:
    """Writes one PNG an image, ``sample-0000.png`` and so on, at its own size."""
    from PIL import Image

    from pixelcnn import plotting

    paths: list[Path] = []
    for index, rgb in enumerate(plotting.to_rgb(images, levels)):
        picture = Image.fromarray(rgb)
        if len(images[0]) == 1:
            picture = picture.convert("L")
        path = folder / f"{name}-{index:04d}.png"
        paths += save_picture(picture, path)
    return paths


def save_picture(picture: Any, path: Path) -> list[Path]:
    """Writes a Pillow image as PNG, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return write(path, buffer.getvalue())


def write(path: Path, content: bytes) -> list[Path]:
    """Writes a file, whole or not at all, in place of what was there; gives its path."""
    files.write_atomically(path, content)
    return [path]
