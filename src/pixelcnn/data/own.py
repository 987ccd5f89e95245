"""The user's own data on the disk: which reader takes a path."""

import dataclasses
import os
from pathlib import Path

from pixelcnn.data import hugging_face
from pixelcnn.data.files import part_folders
from pixelcnn.data.folder import read_folder
from pixelcnn.data.formats import KINDS as FILES
from pixelcnn.data.formats import is_table, parts_in, reader_of
from pixelcnn.data.gate import brief, named
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.patches import PATCHES
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.pictures import read_pictures
from pixelcnn.data.prepare import prepared_folder, read_prepared
from pixelcnn.data.reading import Reading, check_useful
from pixelcnn.data.sets import DATASETS
from pixelcnn.data.splits import Parts, alike, matched
from pixelcnn.errors import DataError, UnknownName
from pixelcnn.registry import closest
from pixelcnn.text import printable

KINDS = f"{FILES}; .parquet or .arrow"
OF_PICTURES = frozenset(("skip_bad",))
OF_TABLES = frozenset(("layout", "skip_bad", "label_column", "condition"))
OF_ARRAYS = frozenset(("layout", "key", "condition"))
"""Options that only some kinds of files have a use for."""


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
        hint=f"known: {', '.join(DATASETS)}, hf:NAME; or {KINDS}",
    )


def read_path(data: Path | str, reading: Reading) -> Parts:
    """Whatever lies at a path.

    A folder with folders ``train`` and ``test`` says for itself what are parts, and so does a file with
    ``x_train`` and ``x_test``.

    Raises:
        UnknownName, DataError: there is nothing, see :func:`existing`, or it cannot be used.
        ConfigError: an option that goes with another kind of data.
    """
    path = existing(data)
    parts = _read(path, reading)
    name = path.absolute().name
    if name in DATASETS:  # a model file must not take it for the named set
        parts = {part: dataclasses.replace(s, name=f"./{name}") for part, s in parts.items()}
    return parts


def _read(path: Path, reading: Reading) -> Parts:
    suffix, where = path.suffix.lower(), printable(path.name)
    if (packed := prepared_folder(path)) is not None:
        check_useful(reading, frozenset(), where)
        return {"all": _packed(packed, reading)}
    if (reader := reader_of(path)) is not None:
        check_useful(reading, OF_TABLES if is_table(path) else OF_ARRAYS, where)
        if reading.key is None and (keys := parts_in(path)):
            return read_keys(path, keys, reading)
        return {"all": reader(path, reading)}
    if path.is_dir():
        if hugging_face.saved(path):
            return hugging_face.read_saved(path, reading)
        check_useful(reading, OF_PICTURES, where)
        if folders := part_folders(path):
            return read_parts(path, folders, reading)
        return {"all": read_folder(path, reading)}
    if suffix in hugging_face.SUFFIXES:
        check_useful(reading, hugging_face.USEFUL, where)
        return {"all": hugging_face.read_file(path, reading)}
    if suffix not in SUFFIXES:
        raise DataError(f"{where} is no known kind of data", hint=f"known: {KINDS}")
    check_useful(reading, OF_PICTURES, where)
    return {"all": read_pictures([path], reading)}


def _packed(folder: Path, reading: Reading) -> ImageSet:
    images = read_prepared(folder)
    levels = reading.source_levels or images.levels
    with named(f"{images.name}:"):
        images = dataclasses.replace(images, levels=levels)
    if reading.stored:  # the pictures that were packed had these values
        images = dataclasses.replace(images, picture_levels=levels)
    return images


def read_parts(root: Path, parts: dict[str, Path], reading: Reading) -> Parts:
    """The folders ``train``, ``val`` and ``test`` of a set, each in the shape of ``train``."""
    sets: Parts = {}
    for part in sorted(parts, key=("train", "val", "test").index):
        folder = parts[part]
        images = read_folder(folder, alike(reading, sets["train"]) if sets else reading)
        names = tuple(f"{folder.name}/{name}" for name in images.names)
        name = printable(root.resolve().name) + (PATCHES if images.fit == "patches" else "")
        images = dataclasses.replace(images, name=name, names=names)
        sets[part] = matched(images, sets["train"], part) if sets else images
    return sets


def read_keys(path: Path, keys: dict[str, str], reading: Reading) -> Parts:
    """Arrays of one file that are the parts of a set, each in the shape of ``train``."""
    sets: Parts = {}
    for part, key in keys.items():
        options = alike(reading, sets["train"]) if sets else reading
        reader = reader_of(path)
        assert reader is not None
        images = reader(path, dataclasses.replace(options, key=key))
        sets[part] = matched(images, sets["train"], part) if sets else images
    return sets
