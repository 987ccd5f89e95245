"""Which files of a folder are images, and what their names say."""

import dataclasses
import logging
import os
from pathlib import Path

import torch

from pixelcnn.data.picture import FORMATS, SUFFIXES
from pixelcnn.errors import DataError
from pixelcnn.text import printable as printable  # noqa: PLC0414  # for the modules beside this one

log = logging.getLogger("pixelcnn")

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders that are parts of a set, not classes."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image file, and its name below the folder with ``/`` between the parts."""

    path: Path
    name: str


def find_images(root: Path) -> list[ImageFile]:
    """The image files in a folder and all folders below, in the order of their names' bytes.

    Files are known by their suffix; hidden ones and others are left out. Linked folders are followed,
    each folder once, so links in a circle do no harm.

    Raises:
        DataError: no image, or a folder that cannot be read.
    """
    found: list[ImageFile] = []
    others = 0
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(parent)
        place = (status.st_dev, status.st_ino)
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=os.fsencode)
        for file in files:
            path = Path(parent, file)
            if path.suffix.lower() in SUFFIXES and not file.startswith("."):
                found.append(ImageFile(path, path.relative_to(root).as_posix()))
            else:
                others += 1
    where = printable(root.name)
    if not found:
        raise DataError(f"{where} holds no images", hint=f"known formats: {', '.join(FORMATS)}")
    if others:
        log.info("%s: %d files are no images by their names, left out", where, others)
    return sorted(found, key=lambda each: os.fsencode(each.name))


def _unreadable(error: OSError) -> DataError:
    return DataError(f"{printable(str(error.filename))} cannot be read: {error.strerror}")


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from error


def part_folders(root: Path) -> dict[str, Path]:
    """Folders that hold the parts of a set: ``train``, ``test`` and perhaps ``val``.

    Empty unless a folder has ``train`` and one of the others, and no other folder beside them.

    Raises:
        DataError: a folder that cannot be read.
    """
    try:
        folders = {path.name: path for path in root.iterdir() if path.is_dir()}
    except OSError as error:
        raise _unreadable(error) from error
    visible = {name: path for name, path in folders.items() if not name.startswith(".")}
    parts = {PARTS[name.lower()]: path for name, path in visible.items() if name.lower() in PARTS}
    complete = "train" in parts and len(parts) > 1 and len(parts) == len(visible)
    return parts if complete else {}


def class_labels(names: list[str]) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """Labels from the first folder of each name, if every image lies in one and there are several.

    Example:
        >>> class_labels(["cat/1.png", "dog/1.png", "cat/2.png"])
        (tensor([0, 1, 0]), ('cat', 'dog'))
    """
    if not all("/" in name for name in names):
        return None, ()
    folders = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(folders), key=os.fsencode)
    if len(classes) < 2:
        return None, ()
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[folder] for folder in folders]), tuple(map(printable, classes))
