"""The user's own data: which reader takes a path, and how it is split."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pixelcnn.data.arrays import read_array
from pixelcnn.data.files import ImageFile, part_folders
from pixelcnn.data.folder import read_files, read_folder
from pixelcnn.data.gate import brief, named
from pixelcnn.data.geometry import fitted
from pixelcnn.data.image_set import ImageSet, Splits, joined
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.prepare import prepared_folder, prepared_keys, read_prepared
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.sets import DATASETS
from pixelcnn.data.splits import THREE_WAYS, TWO_WAYS, content_keys, parts_by_content
from pixelcnn.data.table import read_table
from pixelcnn.errors import ConfigError, DataError, UnknownName
from pixelcnn.registry import closest
from pixelcnn.text import printable

TABLES = (".csv", ".tsv")
READERS = {".npy": read_array, ".npz": read_array} | dict.fromkeys(TABLES, read_table)

KINDS = "a folder of images, image files, .npy, .npz, .csv or .tsv"


def existing(data: Path | str) -> Path:
    """The path that was meant.

    Raises:
        UnknownName: no such path, and it looks like the name of a set.
        DataError: no such path.
    """
    path, text = Path(data).expanduser(), brief(str(data), 300)
    try:
        if path.exists():
            return path
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror}") from error
    if os.sep in text or path.suffix:
        raise DataError(f"there is no file or folder {text}")
    raise UnknownName(
        f"no data set called {text!r}, and no such folder.{closest(text, list(DATASETS))}",
        hint=f"known: {', '.join(DATASETS)}; or {KINDS}",
    )


def read_own(path: Path, reading: Reading) -> ImageSet:
    """Whatever lies at a path, in one piece and in its order.

    Raises:
        ConfigError: an option for tables, and this is none.
        DataError: it cannot be used.
    """
    if reading.label_column is not None and (path.is_dir() or path.suffix.lower() not in TABLES):
        raise ConfigError(
            f"label_column goes with a table, {printable(path.name)} is none",
            hint=f"leave out {typed('label_column')}",
        )
    packed = prepared_folder(path)
    if packed is not None:
        images = read_prepared(packed)
        levels = reading.source_levels or images.levels
        with named(f"{images.name}:"):
            images = dataclasses.replace(images, levels=levels)
        return fitted(images, reading.size, reading.fit)
    if path.is_dir():
        if parts := part_folders(path):
            return joined(*read_parts(path, parts, reading).values())
        return read_folder(path, reading)
    suffix = path.suffix.lower()
    if suffix in READERS:
        return fitted(READERS[suffix](path, reading), reading.size, reading.fit)
    if suffix in SUFFIXES:
        return read_listed([path], reading)
    raise DataError(f"{printable(path.name)} is no known kind of data", hint=f"known: {KINDS}")


def read_listed(paths: Sequence[Path | str], reading: Reading) -> ImageSet:
    """Image files, in the order given."""
    files = [ImageFile(existing(path), Path(path).name) for path in paths]
    if not files:
        raise DataError("no image files given")
    where = printable(files[0].name) if len(files) == 1 else f"{len(files)} image files"
    return read_files(files, reading, where)


def read_parts(root: Path, parts: dict[str, Path], reading: Reading) -> dict[str, ImageSet]:
    """The folders ``train``, ``val`` and ``test`` of a set, each in the shape of ``train``."""
    sets: dict[str, ImageSet] = {}
    for part in (name for name in Splits._fields if name in parts):
        folder = parts[part]
        images = read_folder(folder, alike(reading, sets["train"]) if sets else reading)
        names = tuple(f"{folder.name}/{name}" for name in images.names)
        images = dataclasses.replace(images, name=printable(root.resolve().name), names=names)
        sets[part] = matched(images, sets["train"], part) if sets else images
    return sets


def own_splits(path: Path, reading: Reading, test: Path | None) -> Splits:
    """Own data in three parts.

    Without a test set 80 % train, 10 % validate and 10 % test, by the content of each image; with
    one, 90 % train and 10 % validate. A folder with folders ``train``, ``test`` and perhaps ``val``
    says for itself; what is missing is a tenth of ``train``.

    Raises:
        DataError: it cannot be used, or holds too few different images.
    """
    folders = part_folders(path) if path.is_dir() and prepared_folder(path) is None else {}
    if test is None and folders:
        return _completed(read_parts(path, folders, reading))
    whole = read_own(path, reading)
    packed = prepared_folder(path)
    keys = content_keys(whole) if packed is None else prepared_keys(packed, len(whole))
    if test is None:
        train, val, rest = (whole[part] for part in parts_by_content(keys, THREE_WAYS))
        return _named(train, val, rest)
    other = matched(read_own(test, alike(reading, whole)), whole, "test")
    train, val = (whole[part] for part in parts_by_content(keys, TWO_WAYS))
    return _named(train, val, other)


def _completed(sets: dict[str, ImageSet]) -> Splits:
    """Three parts from those that have folders."""
    train = sets["train"]
    if len(sets) < len(Splits._fields):
        kept, cut = parts_by_content(content_keys(train), TWO_WAYS)
        missing = "val" if "test" in sets else "test"
        sets = {**sets, "train": train[kept], missing: train[cut]}
    return _named(sets["train"], sets["val"], sets["test"])


def _named(*parts: ImageSet) -> Splits:
    return Splits(
        *(dataclasses.replace(p, split=s) for p, s in zip(parts, Splits._fields, strict=True))
    )


def alike(reading: Reading, train: ImageSet) -> Reading:
    """How to read data that go with a training set."""
    return dataclasses.replace(
        reading, channels=train.shape.channels, source_levels=train.levels, shape=train.shape
    )


def matched(other: ImageSet, train: ImageSet, part: str) -> ImageSet:
    """Another part of a set, with labels counted as in the training set.

    Raises:
        DataError: another shape, other levels, or a class that does not occur in training.
    """
    if other.shape != train.shape or other.levels != train.levels:
        raise DataError(
            f"{part} images are {other.shape} with {other.levels} levels, "
            f"but training images are {train.shape} with {train.levels}",
            hint=f"bring both to one shape: {typed('size')}, {typed('layout')} or {typed('levels')}",
        )
    if not (other.classes and train.classes) or other.classes == train.classes:
        return other
    unknown = [name for name in other.classes if name not in train.classes]
    if unknown or other.labels is None:
        raise DataError(
            f"{part} images have classes that training images lack: {', '.join(unknown)}"
        )
    number = torch.from_numpy(np.array([train.classes.index(name) for name in other.classes]))
    return dataclasses.replace(other, labels=number[other.labels], classes=train.classes)
