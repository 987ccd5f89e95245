"""Packs a folder of images into one array that is mapped, not read: for sets larger than memory.

The images of a packed set lie in the order of their content keys. So the parts of every split are
neighbours, and taking one copies nothing.
"""

import contextlib
import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelcnn.data.files import ImageFile, class_labels, find_images, printable
from pixelcnn.data.geometry import as_size
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.picture import read_picture
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import content_key
from pixelcnn.data.survey import accepted, examine
from pixelcnn.data.target import Target, conform, settle
from pixelcnn.errors import ConfigError, DataError, ResourceError

FORMAT = 1
CARD = "prepared.json"
IMAGES, LABELS, KEYS, NAMES = "images.npy", "labels.npy", "keys.npy", "names.json"


def prepare(
    folder: Path | str,
    out: Path | str,
    *,
    size: Any = None,
    fit: str = "crop",
    skip_bad: bool = False,
    callback: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Packs the images of a folder into the new folder ``out``, which :func:`load` takes as data.

    Each file is decoded twice, first to check all, then to pack; no more than one is in memory.
    ``out`` appears when it is complete, or not at all.

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
        ConfigError: ``out`` exists.
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: the disk is full.
    """
    root, target_folder = Path(folder), Path(out)
    if not root.is_dir():
        raise DataError(f"{printable(str(folder))} is not a folder")
    if target_folder.exists():
        raise ConfigError(
            f"{printable(str(out))} exists already", hint="choose another name, or remove it"
        )
    where = printable(root.resolve().name)
    reading = Reading(size=as_size(size), fit=fit, skip_bad=skip_bad)
    files = find_images(root)
    good = accepted([report for report, _ in examine(files, reading)], where, skip_bad)
    target = settle(good, reading, where)
    chosen = {each.name for each in good}
    packed = [file for file in files if file.name in chosen]
    with _appearing(target_folder, len(packed) * target.shape.dimensions) as temporary:
        keys = _pack(packed, target, temporary / IMAGES, callback)
        order = np.argsort(keys, kind="stable")
        reorder(np.load(temporary / IMAGES, mmap_mode="r+"), order)
        np.save(temporary / KEYS, keys[order])
        names = [packed[place].name for place in order.tolist()]
        labels, classes = class_labels(names)
        if labels is not None:
            np.save(temporary / LABELS, labels.numpy())
        card = {
            "format": FORMAT,
            "name": where,
            "levels": target.levels,
            "classes": list(classes),
            "skipped": len(files) - len(packed),
        }
        (temporary / NAMES).write_text(json.dumps(names))
        (temporary / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return read_prepared(target_folder)


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
        return ImageSet(
            torch.from_numpy(np.load(folder / IMAGES, mmap_mode="c", allow_pickle=False)),
            card["levels"],
            None if labels is None else torch.from_numpy(labels),
            tuple(card["classes"]),
            name=card["name"],
            names=tuple(json.loads((folder / NAMES).read_text())),
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
        keys = np.load(folder / KEYS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        where = printable(folder.name)
        raise DataError(f"{where}: the packed set is damaged: {error}") from error
    if keys.shape != (images,) or keys.dtype != np.uint64:
        raise DataError(f"{printable(folder.name)}: {KEYS} does not fit {IMAGES}")
    return keys


def reorder(array: np.ndarray, order: np.ndarray) -> None:
    """``array[:] = array[order]`` with a single row in memory besides.

    Example:
        >>> rows = np.array([10, 20, 30])
        >>> reorder(rows, np.array([2, 0, 1]))
        >>> rows.tolist()
        [30, 10, 20]
    """
    done = np.zeros(len(order), dtype=bool)
    for start in range(len(order)):
        if done[start]:
            continue
        held, at = np.copy(array[start]), start
        while order[at] != start:
            array[at] = array[order[at]]
            done[at] = True
            at = int(order[at])
        array[at] = held
        done[at] = True


def _pack(
    files: list[ImageFile], target: Target, path: Path, callback: Callable[[int, int], None] | None
) -> np.ndarray:
    """Writes the array in the order of the files; the content key of each."""
    keys = np.empty(len(files), dtype=np.uint64)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), *target.shape)}
    with path.open("wb") as stream:
        # Plain writes, since a full disk ends a write to a mapped file with a signal.
        np.lib.format.write_array_header_1_0(stream, header)
        for row, file in enumerate(files):
            pixels = np.ascontiguousarray(conform(read_picture(file.path), target)).tobytes()
            keys[row] = content_key(target.shape, pixels)
            stream.write(pixels)
            if callback:
                callback(row + 1, len(files))
    return keys


@contextlib.contextmanager
def _appearing(folder: Path, size: int) -> Iterator[Path]:
    """A temporary folder that takes its name when it is complete, and leaves nothing if it is not."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if size > free:
            raise OSError(errno.ENOSPC, "No space left on device")
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            yield temporary
            temporary.chmod(0o755)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ResourceError(
                f"{printable(str(folder))}: the disk is full, {size:,} bytes are needed"
            ) from error
        raise DataError(f"{printable(str(folder))} cannot be written: {error.strerror}") from error
