"""What is to be compressed: picture files, folders of them, files of arrays, and named data sets."""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixelcnn import sources
from pixelcnn.cli import conditions, file_values, words
from pixelcnn.cli.console import Advance, say
from pixelcnn.cli.sources import in_part
from pixelcnn.codec.archive import Input, entry_of
from pixelcnn.codec.entries import FILE, TYPES, Form, check_names, fits
from pixelcnn.codec.values import Stored, Values
from pixelcnn.conditioning import condition_of, renumbered
from pixelcnn.data import DATASETS, hugging_face, tags, zarr_store
from pixelcnn.data.files import PACKED, ImageFile, class_labels, find_images
from pixelcnn.data.labels import labels_tensor
from pixelcnn.data.npy import MAGIC
from pixelcnn.data.opening import named
from pixelcnn.data.packed import plain_name
from pixelcnn.data.parts import image_parts
from pixelcnn.data.sources import TABLES, existing, holds_arrays
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.text import counted, printable

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

PNG, NPY = ".png", ".npy"
SAVED = "save its images as .npy, and compress that"
"""What to do with images that no file holds as they are."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """One file, or part of a named data set, before it is looked into.

    Attributes:
        name: what it will be called when it comes back; empty for standard input.
        content: where it lies, or what it holds; of a named data set its name and part.
        label: its class, if its folder says one.
        source: what it is called now, in messages.
    """

    name: str
    content: Path | bytes | tuple[str, str]
    label: int | None = None
    source: str = "standard input"

    @property
    def entries(self) -> list[Path]:
        """Its file; of a store of arrays, which is a folder, that and all that is in it."""
        path = self.content
        found = [path, *path.rglob("*")] if isinstance(path, Path) else []
        return [each for each in found if each.exists()]

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return sum(each.stat().st_size for each in self.entries if each.is_file())


def of(model: "PixelModel", word: str, label: str | None) -> list[Asked]:
    """The files that one word of the command line means.

    Args:
        model: that is to compress them.
        word: as it was typed.
        label: the class of all, whatever their folders are called.

    Raises:
        DataError, UnknownName: there is nothing of this name, or nothing in it.
    """
    if word == words.STDIN:
        return [Asked("", sys.stdin.buffer.read())]
    name, part = in_part(word, "test")
    if name in DATASETS and not os.path.lexists(word):
        content = (name, part)
        return [Asked(f"{'-'.join(content)}{NPY}", content, source=printable(word))]
    path = existing(word)
    if not isinstance(path, Path):
        raise ConfigError(f"{word} is no file", hint=SAVED)
    if path.is_dir() and not zarr_store.is_store(path):
        return _folder(model, path, label)
    if path.suffix.lower() == PACKED:
        raise ConfigError(
            f"{printable(path.name)} is compressed already", hint="'pixelcnn decompress' undoes it"
        )
    if plain_name(path).endswith((*TABLES, *hugging_face.SUFFIXES)):
        raise ConfigError(
            f"{printable(path.name)} is a table, and would come back as none", hint=SAVED
        )
    name = _ending(path.name, NPY if _is_array(path) else PNG)
    return [Asked(name, path, source=printable(path.name))]


def _is_array(path: Path) -> bool:
    return zarr_store.is_store(path) or holds_arrays(path)


def _folder(model: "PixelModel", root: Path, label: str | None) -> list[Asked]:
    """The pictures of a folder, which is part of their names; a folder of each class may say the label."""
    files = find_images(root)
    labels: list[int | None] = [None] * len(files)
    if tags.of(model).kind == "label" and label is None:
        labels = _folder_labels(model, root, files)
    folder = os.path.basename(os.path.abspath(root))
    prefix = f"{folder}/" if folder else ""
    return [
        Asked(prefix + _ending(file.name, PNG), file.path, label, printable(prefix + file.name))
        for file, label in zip(files, labels, strict=True)
    ]


def _folder_labels(model: "PixelModel", root: Path, files: list[ImageFile]) -> list[int | None]:
    """The class of each file by its folder, which is inside ``train`` and ``test`` where there are such."""
    parts = image_parts(root, telling=False).values()
    within = {file.path: file.name for part in parts for file in part.files}
    names = [within.get(file.path, file.name) for file in files]
    words = class_labels(names, tuple(conditions.class_names(model)))
    if words is None:
        return [None] * len(files)
    return list(renumbered(*labels_tensor(words), model).tolist())


def _ending(name: str, suffix: str) -> str:
    """What a file is called that comes back as another kind: ``photo.jpg.png``."""
    return name if name.lower().endswith(suffix) else name + suffix


def prepared(
    model: "PixelModel",
    asked: Sequence[Asked],
    label: str | None,
    layout: str | None,
    advance: Advance,
) -> list[Input]:
    """Looks into all inputs: what sizes and values they have; those of one size come together.

    Args:
        model: that is to compress them.
        asked: the inputs.
        label: the class of all, if it is not to be their own.
        layout: axes of arrays, where their shape leaves a doubt.
        advance: called with inputs done and in all.

    Raises:
        DataError: one cannot be read.
        ModelError: one does not fit the model, or has no label where the model needs one.
        ConfigError: two would come back under one name.
    """
    check_names(each.name for each in asked)
    number = None if label is None else conditions.chosen(model, label)
    own_labels = tags.of(model).kind == "label" and number is None
    stored, done = Stored(model), Counter[str]()
    found: list[tuple[Asked, file_values.FileValues, Values, list[int]]] = []
    for index, one in enumerate(asked):
        if not fits(one.name):
            raise ConfigError(
                f"{one.name!r} cannot be the name of a file everywhere", hint="rename it"
            )
        holds, where = _look(model, one, layout, own_labels, done), one.source
        if holds.shape.channels != model.shape.channels:
            raise ModelError(
                f"{where} has {counted(holds.shape.channels, 'channel')}, this model is for"
                f" {model.shape.channels}",
                hint="only images with the model's channels come back as they were",
            )
        values = stored.values(holds.occurring, where)
        labels = _labels(model, one, holds, number, where)
        found.append((one, holds._replace(occurring=np.zeros(0)), values, labels))
        advance(index + 1, len(asked))
    if done:
        notes = (f"{note} ({counted(count, 'file')})" for note, count in done.items())
        say(f"note: {', '.join(notes)}")
    inputs = []
    for one, holds, values, labels in found:
        form = dataclasses.replace(holds.form, values=values.table)
        entry = entry_of(model, form, holds.shape, holds.images, labels, one.name)
        inputs.append(Input(entry, partial(_levels, holds, values, one.source)))
    return sorted(inputs, key=lambda each: (each.entry.size.tile_shape, each.entry.size))


def _look(
    model: "PixelModel", one: Asked, layout: str | None, own_labels: bool, done: Counter[str]
) -> file_values.FileValues:
    if isinstance(one.content, tuple):
        return _named_set(model, *one.content, own_labels)
    bits = one.content if isinstance(one.content, bytes) else b""
    if not bits and isinstance(one.content, bytes):
        raise DataError("standard input is empty", hint=words.PIPE)
    arrays = bits.startswith(MAGIC) or (isinstance(one.content, Path) and _is_array(one.content))
    if not arrays:
        return file_values.picture(one.content, one.source, done)
    return file_values.array(one.content, one.source, model.shape, layout, own_labels, done)


def _named_set(
    model: "PixelModel", name: str, part: str, own_labels: bool
) -> file_values.FileValues:
    images = sources.set_of(model, name, part)
    levels = images.images
    labels = condition_of(model, images) if own_labels else None
    number = TYPES.index("|u1" if model.levels <= 256 else "<i4")

    def read(start: int, stop: int) -> np.ndarray:
        return levels[start:stop].numpy()

    return file_values.FileValues(
        Form(FILE, number), images.shape, len(images), np.zeros(0), read, labels
    )


def _labels(
    model: "PixelModel", one: Asked, holds: file_values.FileValues, number: int | None, where: str
) -> list[int]:
    """What the model is given with each image of an input."""
    kind = tags.of(model).kind
    if kind not in (None, "label"):
        raise ModelError(f"a model with a {kind} condition has no integer form")
    given: list[int] | None = None
    if number is not None:
        given = [number] * holds.images
    elif holds.labels is not None:
        with named(f"{where}:"):
            given = list(renumbered(*labels_tensor(holds.labels), model).tolist())
    elif one.label is not None:
        given = [one.label] * holds.images
    elif kind == "label":
        raise ModelError(
            f"this model needs the class of each image, {where} has none", hint="--label CLASS"
        )
    import torch

    said = None if given is None else torch.tensor(given, dtype=torch.long)
    checked = model.check_condition(said, holds.images)
    return [] if checked is None else [int(each) for each in checked.tolist()]


def _levels(
    holds: file_values.FileValues, values: Values, where: str, start: int, stop: int
) -> np.ndarray:
    found = values.levels(holds.read(start, stop))
    if found.size and int(found.min()) < 0:
        raise DataError(f"{where} has changed while it was read")
    return found
