"""Packs a folder of images, or a list, into one array that is read as it is needed: sets larger than memory.

The images of a packed set lie in the order of their content keys. So the parts of every split are
neighbours, and taking one copies nothing.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from pixelcnn.config import gated
from pixelcnn.data import picture_list
from pixelcnn.data.content import content_keys
from pixelcnn.data.files import ImageFile, class_labels, find_images, name_of
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.labels import integers, labels_tensor
from pixelcnn.data.lazy import LazyImages, each
from pixelcnn.data.npy import FileArray
from pixelcnn.data.opening import brief, content, missing, named, unreadable
from pixelcnn.data.options import Fit
from pixelcnn.data.packing import GO_ON, Callback, PackingFolder, alone
from pixelcnn.data.parts import part_folders, parts_below
from pixelcnn.data.reading import FULL_RANGE, Reading, as_size
from pixelcnn.data.survey import accepted, settle
from pixelcnn.data.tensors import dtype_of
from pixelcnn.errors import ConfigError, DataError, ResourceError, writing
from pixelcnn.folders import at_home, is_there
from pixelcnn.json_text import json_text
from pixelcnn.surroundings import independent
from pixelcnn.text import as_word, counted, printable

log = logging.getLogger("pixelcnn")

FORMAT = 1
CARD = "prepared.json"
IMAGES, LABELS, KEYS, NAMES = "images.npy", "labels.npy", "keys.npy", "names.json"


@independent
@gated
def prepare(
    folder: Path | str,
    out: Path | str,
    *,
    size: Any = None,
    fit: Fit = "resize",
    skip_bad: bool = False,
    label_column: str | None = None,
    callback: Callback | None = None,
) -> ImageSet:
    """Packs the images of a folder or a list into the new folder ``out``, which :func:`load` takes as data.

    Each file is decoded once; no more than one a thread is in memory.
    ``out`` appears when it is complete, or not at all. Whatever ends the work before, the same call
    goes on with it; until then ``.out.partial`` beside ``out`` holds what there is.

    Args:
        folder: looked through with all folders below; or a table, see :mod:`pixelcnn.data.picture_list`.
        out: must not exist yet.
        size: as for :func:`pixelcnn.data.load`.
        fit: as for :func:`pixelcnn.data.load`; patches are taken from a packed set when it is used.
        skip_bad: leave out files that cannot be read.
        label_column: of a table.
        callback: called with the number of files that were read, and of all.

    Returns:
        The packed set, its images in the file.

    Raises:
        ConfigError: ``out`` exists or cannot be written, another process packs it, or the folder has parts
            such as ``train`` and ``test``, each of which is packed by itself.
        DataError: bad files, or different sizes where none was asked for.
        ResourceError: the disk is full: twice the size of the set is needed.
    """
    root, target_folder = at_home(folder), at_home(out)
    if not is_there(root):
        raise missing(root)
    if not root.is_dir() and not picture_list.fits(root):
        raise DataError(f"{printable(str(folder))} is not a folder, nor a list of pictures")
    work = target_folder.parent / f".{target_folder.name}.partial"
    if is_there(target_folder):
        shutil.rmtree(work, ignore_errors=True)
        raise ConfigError(
            f"{printable(str(out))} exists already", hint="choose another name, or remove it"
        )
    if fit == "patches":
        raise ConfigError(
            "patches are not packed", hint="pack whole images, and train on them with --fit patches"
        )
    reading = Reading(size=as_size(size), fit=fit, skip_bad=skip_bad, label_column=label_column)
    files, labels = _files(root, reading)
    shown = printable(str(target_folder))
    with writing(shown, other="folder", full=GO_ON), alone(work):
        try:
            packing = PackingFolder(work, files, reading)
            _fill(packing, name_of(root), labels, callback)
        except DataError:
            shutil.rmtree(work, ignore_errors=True)  # the files have to change before it can go on
            raise
        packing.ready.rename(target_folder)
        shutil.rmtree(work, ignore_errors=True)
    return read_prepared(target_folder)


def _files(root: Path, reading: Reading) -> tuple[list[ImageFile], list[Any] | None]:
    """What is to be packed, and the labels that a list has.

    Raises:
        ConfigError: a folder of parts: a packed set has none, and they would become its classes.
    """
    if not root.is_dir():
        found = picture_list.listed(root, reading)
        if found.parts:
            log.warning("%s: its column of parts is left out: a packed set is one", name_of(root))
        return found.files, found.labels
    if parts := part_folders(root):
        first, *others = (as_word(printable(str(path))) for path in parts.values())
        raise ConfigError(
            f"{name_of(root)} has the parts {', '.join(parts)}, and a packed set is one piece",
            hint=f"pack {first} by itself, and {' and '.join(others)} likewise; one packed set is trained on,"
            " another tested on with `pixelcnn train --set data.test=` (in Python test=)",
        )
    files = find_images(root)
    if below := parts_below(files, root, telling=False):
        log.warning(
            "%s: %s inside of its folders are packed as one", name_of(root), " and ".join(below)
        )
    return files, None


def _fill(
    packing: PackingFolder, where: str, labels: list[Any] | None, callback: Callback | None
) -> None:
    """Everything that a packed set consists of."""
    reports = packing.read(where, callback)
    good = accepted(reports, where, packing.reading.skip_bad)
    target = settle(good, packing.reading, where)
    keys, order = packing.arrange(good, target, packing.ready / IMAGES)
    np.save(packing.ready / KEYS, keys)
    names = [good[at].name for at in order.tolist()]
    classes: tuple[str, ...] = ()
    if labels is not None:
        kept = [label for label, each in zip(labels, reports, strict=True) if not each.error]
        labels = [kept[at] for at in order.tolist()]
    if (found := labels or class_labels(names)) is not None:
        numbers, classes = labels_tensor(found)
        np.save(packing.ready / LABELS, numbers.numpy())
    card = {
        "format": FORMAT,
        "name": where,
        "levels": target.levels,
        "classes": list(classes),
        "skipped": len(reports) - len(good),
        "fit": "" if packing.reading.size is None else packing.reading.fit,
    }
    (packing.ready / NAMES).write_text(json_text(names))
    card["digest"] = _digest(packing.ready, card)
    (packing.ready / CARD).write_text(json_text(card, indent=2) + "\n")


def _digest(folder: Path, card: dict[str, Any]) -> str:
    """Tells whether anything beside the images has changed: what the card says, labels, keys or names."""
    said = json_text({key: value for key, value in card.items() if key != "digest"})
    digest = hashlib.sha256(said.encode())
    for name in (LABELS, KEYS, NAMES):
        if (folder / name).exists():
            digest.update(hashlib.sha256(content(folder / name)).digest())
    return digest.hexdigest()


def prepared_folder(path: Path) -> Path | None:
    """The packed set that a path means: the folder, or the array in it; else ``None``."""
    folder = path.parent if path.name == IMAGES else path
    return folder if os.path.isfile(folder / CARD) else None


def read_packed(path: Path, reading: Reading) -> ImageSet:
    """A packed set as a source, see :func:`prepared_folder`."""
    folder, reading = prepared_folder(path), reading.of_pictures
    assert folder is not None, "asked before"
    images = read_prepared(folder)
    levels, values = reading.source_levels or images.levels, images.images
    if levels in FULL_RANGE and levels > images.levels:
        factor = (levels - 1) // (images.levels - 1)  # so that they fill it, as pictures do
        values = each(values, lambda some: some.to(dtype_of(levels)) * factor, levels)
    with named(f"{images.name}:"):
        images = dataclasses.replace(images, images=values, levels=levels, source_levels=levels)
    if reading.stored:  # the pictures that were packed had these values
        images = dataclasses.replace(images, picture_levels=levels)
    return images


def read_prepared(folder: Path) -> ImageSet:
    """A packed set; its images stay where they are until they are used.

    Raises:
        DataError: damaged, or of an unknown format.
    """
    where = name_of(folder)
    with _intact(where):
        card = _json(folder / CARD, dict)
        version = card["format"]
    if version != FORMAT:
        found = brief(str(version), 20)
        raise DataError(f"{where}: packed in format {found}, only {FORMAT} is known")
    with _intact(where):
        return _packed(folder, card)


def _packed(folder: Path, card: dict[str, Any]) -> ImageSet:
    """The set that a card and the files beside it describe."""
    names, classes = _json(folder / NAMES, list), card["classes"]
    texts = all(isinstance(name, str) for name in (card["name"], *classes, *names))
    fit = card.get("fit", "")
    known = type(fit) is str and fit in ("", *get_args(Fit))
    if not (texts and known) or type(classes) is not list or type(card["skipped"]) is not int:
        raise DataError(f"{CARD} or {NAMES} holds something else")
    labels = FileArray(folder / LABELS).whole() if (folder / LABELS).exists() else None
    images = FileArray(folder / IMAGES)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"{IMAGES} holds no images as bytes")
    lazy = LazyImages(images.shape, torch.uint8, lambda rows: torch.from_numpy(images[rows]), 256)
    packed = ImageSet(
        lazy,
        card["levels"],
        None if labels is None else integers(labels),
        tuple(classes),
        name=brief(card["name"]),
        names=tuple(map(printable, names)),
        skipped=card["skipped"],
        fit=fit,
        packed=True,
    )
    if packed.classes and packed.label_count > len(packed.classes):
        raise DataError(f"{LABELS} counts more classes than {CARD} names")
    if card.get("digest", digest := _digest(folder, card)) != digest:  # older ones have none
        raise DataError(f"{CARD}, {LABELS}, {KEYS} or {NAMES} has changed since")
    return packed


def prepared_keys(folder: Path, images: int) -> np.ndarray:
    """The content key of each image of a packed set.

    Raises:
        DataError: damaged.
    """
    with _intact(name_of(folder)):
        keys = FileArray(folder / KEYS).whole()
        if keys.shape != (images,) or keys.dtype != np.uint64:
            raise DataError(f"{KEYS} does not fit {IMAGES}")
        return keys


def check_pixels(folder: Path) -> None:
    """Reads all images of a packed set, and compares them with their keys.

    Raises:
        DataError: some have changed.
    """
    images = read_prepared(folder)
    changed = content_keys(images.images) != prepared_keys(folder, len(images))
    with _intact(name_of(folder)):
        if changed.any():
            first = images.names[int(changed.argmax())]
            raise DataError(f"{counted(int(changed.sum()), 'image')} changed since: {first}")


@contextlib.contextmanager
def _intact(where: str) -> Iterator[None]:
    """Says that a packed set is damaged, whatever its files make a reader stumble over."""
    with named(where):
        try:
            yield
        except (ResourceError, MemoryError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, DataError) else unreadable(error)
            raise DataError(
                f"{where}: the packed set is damaged: {reason}", hint="prepare it again"
            ) from error


def _json(path: Path, kind: type) -> Any:
    """What a file of JSON holds, if it is of this kind."""
    found = json.loads(content(path))
    if type(found) is not kind:
        raise DataError(f"{path.name} holds something else")
    return found
