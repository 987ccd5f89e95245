"""Packs a folder of images into one array that is mapped, not read: for sets larger than memory.

The images of a packed set lie in the order of their content keys. So the parts of every split are
neighbours, and taking one copies nothing.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelcnn.data.files import class_labels, find_images, printable
from pixelcnn.data.geometry import as_size
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.packing import Callback, Workshop, alone
from pixelcnn.data.reading import Reading
from pixelcnn.data.survey import accepted
from pixelcnn.data.target import settle
from pixelcnn.errors import DISK_FULL, ConfigError, DataError, ResourceError

FORMAT = 1
CARD = "prepared.json"
GO_ON = "free some space and repeat the command: it goes on where it was"
IMAGES, LABELS, KEYS, NAMES = "images.npy", "labels.npy", "keys.npy", "names.json"


def prepare(
    folder: Path | str,
    out: Path | str,
    *,
    size: Any = None,
    fit: str = "crop",
    skip_bad: bool = False,
    callback: Callback | None = None,
) -> ImageSet:
    """Packs the images of a folder into the new folder ``out``, which :func:`load` takes as data.

    Each file is decoded twice, first to check all, then to pack; no more than one is in memory.
    ``out`` appears when it is complete, or not at all. Whatever ends the work before, the same call
    goes on with it; until then ``.out.partial`` beside ``out`` holds what there is.

    Args:
        folder: looked through with all folders below.
        out: must not exist yet.
        size: as for :func:`pixelcnn.data.load`.
        fit: as for :func:`pixelcnn.data.load`.
        skip_bad: leave out files that cannot be read.
        callback: called with the number of packed images and of all.

    Returns:
        The packed set, mapped.

    Raises:
        ConfigError: ``out`` exists, or another process packs it.
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: the disk is full: twice the size of the set is needed.
    """
    root, target_folder = Path(folder), Path(out)
    if not root.is_dir():
        raise DataError(f"{printable(str(folder))} is not a folder")
    work = target_folder.parent / f".{target_folder.name}.partial"
    if target_folder.exists():
        shutil.rmtree(work, ignore_errors=True)
        raise ConfigError(
            f"{printable(str(out))} exists already", hint="choose another name, or remove it"
        )
    reading = Reading(size=as_size(size), fit=fit, skip_bad=skip_bad)
    files = find_images(root)
    with _told(target_folder), alone(work):
        try:
            shop = Workshop(work, files, reading)
            _fill(shop, printable(root.resolve().name), callback)
        except DataError:
            shutil.rmtree(work, ignore_errors=True)  # the files have to change before it can go on
            raise
        shop.ready.rename(target_folder)
        shutil.rmtree(work, ignore_errors=True)
    return read_prepared(target_folder)


def _fill(shop: Workshop, where: str, callback: Callback | None) -> None:
    """Everything that a packed set consists of."""
    good = accepted(shop.survey(), where, shop.reading.skip_bad)
    target = settle(good, shop.reading, where)
    chosen = {each.name for each in good}
    packed = [file for file in shop.files if file.name in chosen]
    needed = shop.missing(len(packed), target)
    if needed > shutil.disk_usage(shop.path).free:
        raise ResourceError(f"{where}: the disk is full, {needed:,} bytes are needed", hint=GO_ON)
    keys = shop.pack(packed, target, callback)
    order = np.argsort(keys, kind="stable")
    shop.arrange(order, target, shop.ready / IMAGES)
    np.save(shop.ready / KEYS, keys[order])
    names = [packed[place].name for place in order.tolist()]
    labels, classes = class_labels(names)
    if labels is not None:
        np.save(shop.ready / LABELS, labels.numpy())
    card = {
        "format": FORMAT,
        "name": where,
        "levels": target.levels,
        "classes": list(classes),
        "skipped": len(shop.files) - len(packed),
    }
    (shop.ready / NAMES).write_text(json.dumps(names))
    (shop.ready / CARD).write_text(json.dumps(card, indent=2) + "\n")


def prepared_folder(path: Path) -> Path | None:
    """The packed set that a path means: the folder, or the array in it; else ``None``."""
    folder = path.parent if path.name == IMAGES else path
    return folder if (folder / CARD).is_file() else None


def read_prepared(folder: Path) -> ImageSet:
    """A packed set, its images mapped.

    Raises:
        DataError: damaged, or of an unknown format.
    """
    where = printable(folder.resolve().name)
    try:
        card = json.loads((folder / CARD).read_text())
        if card["format"] != FORMAT:
            raise DataError(f"{where}: packed in format {card['format']}, only {FORMAT} is known")
        labels = np.load(folder / LABELS) if (folder / LABELS).is_file() else None
        images = np.load(_regular(folder / IMAGES), mmap_mode="c", allow_pickle=False)
        return ImageSet(
            torch.from_numpy(images),
            card["levels"],
            None if labels is None else torch.from_numpy(labels),
            tuple(card["classes"]),
            name=card["name"],
            names=tuple(json.loads(_regular(folder / NAMES).read_text())),
            skipped=card["skipped"],
        )
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: the packed set is damaged: {error}", hint="prepare it again"
        ) from error


def prepared_keys(folder: Path, images: int) -> np.ndarray:
    """The content key of each image of a packed set.

    Raises:
        DataError: damaged.
    """
    try:
        keys = np.load(_regular(folder / KEYS), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        where = printable(folder.name)
        raise DataError(f"{where}: the packed set is damaged: {error}") from error
    if keys.shape != (images,) or keys.dtype != np.uint64:
        raise DataError(f"{printable(folder.name)}: {KEYS} does not fit {IMAGES}")
    return keys


def _regular(path: Path) -> Path:
    """A path, unless reading it could wait for ever."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no regular file")
    return path


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Says in one line that a folder cannot be written, and why."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ResourceError(
                f"{printable(str(folder))}: the disk is full", hint=GO_ON
            ) from error
        raise DataError(f"{printable(str(folder))} cannot be written: {error.strerror}") from error
