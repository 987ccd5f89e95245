"""Datasets and loaders of PyTorch, and whatever else gives items: an image each, perhaps with its label.

They are read once, from the first item to the last. Transforms may give other images the next time, and a set
of images does not change: so what was read is kept, in memory or, beyond 256 MB, in a temporary file.
"""

import dataclasses
import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from pixelcnn.annotations import shown
from pixelcnn.data.arrays import from_rows, from_values
from pixelcnn.data.files import ImageFile
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.labels import known_labels
from pixelcnn.data.opening import brief, named
from pixelcnn.data.pictures import is_picture, read_files
from pixelcnn.data.reading import LABELS, WITHOUT, Reading, typed
from pixelcnn.data.stored import Spool
from pixelcnn.data.tensors import as_array
from pixelcnn.errors import DataError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")

IMAGES = ("image", "images", "img", "pixel_values", "pixels")
"""Names under which items that are dictionaries have their image."""


class Item(NamedTuple):
    """One image as it came, and its label if there is one."""

    image: Any
    label: Any = None


def fits(source: Any) -> bool:
    """Whether something gives items: a dataset or a loader, or what has a length and an order.

    Example:
        >>> fits([(np.zeros((2, 2)), 1)]), fits({}), fits("a")
        (True, False, False)
    """
    if isinstance(source, Dataset | DataLoader):
        return True
    plain = isinstance(source, Mapping | str | bytes | bytearray | int | float)
    try:
        return not plain and hasattr(source, "__getitem__") and len(source) >= 0
    except TypeError:  # no length, or none that is clear, as of a sparse matrix
        return False


def paired(source: Any) -> bool:
    """Whether a list holds pairs of an image and its label."""
    if not isinstance(source, list | tuple) or not source:
        return False
    first = source[0]
    if not isinstance(first, tuple | list) or len(first) != 2:
        return False
    image, label = first
    single = isinstance(label, int | float | str) or getattr(label, "ndim", None) == 0
    return single and not isinstance(image, int | float | str)


def read(source: Any, reading: Reading) -> ImageSet:
    """All items as one set; images that are pictures are decoded, others are arrays of levels.

    Raises:
        DataError: no image can be told in an item, or images do not go together.
    """
    name = printable(
        getattr(getattr(source, "dataset", source), "__class__", type(source)).__name__
    )
    images = set_of(items_of(source, reading, name), reading, name)
    return named_by(images, classes_of(source))


def set_of(found: Iterable[Item], reading: Reading, where: str) -> ImageSet:
    """Items as a set.

    Args:
        found: the items; read once.
        reading: how.
        where: name of the set, and the start of every message.

    Raises:
        DataError: see :func:`read`.
    """
    labels: list[int | str | None] = []
    items = iter(found)
    if (first := next(items, None)) is None:
        raise DataError(f"{where} holds no items", hint="images are needed")
    pictures = _encoded(first.image)

    def each() -> Iterator[Any]:
        for index, (image, label) in enumerate(itertools.chain([first], items)):
            labels.append(_label(label, index, where) if reading.labels else None)
            if _encoded(image) is not pictures:
                raise DataError(
                    f"{where} holds pictures and arrays", hint="images of one kind are needed"
                )
            yield image

    if pictures:
        files = (ImageFile(image, f"image {index}") for index, image in enumerate(each()))
        return read_files(files, reading.of_pictures, where, labels, with_names=False)
    return _of_arrays(each(), labels, reading, where)


def _of_arrays(
    arrays: Iterable[Any], labels: list[int | str | None], reading: Reading, where: str
) -> ImageSet:
    """Arrays of one shape and type as a set; their labels are known when all have been read."""
    spool: Spool | None = None
    for index, image in enumerate(arrays):
        row = _array(image, index, where)
        spool = Spool(row.shape, row.dtype) if spool is None else spool
        first = spool.dtype, spool.shape[1:]
        if (row.dtype, row.shape) != first:
            raise DataError(
                f"{where}: item {index} is {row.dtype} {row.shape}, item 0 {first[0]} {first[1]}",
                hint="bring all to one shape and type in the dataset",
            )
        spool.append(row)
    assert spool is not None, "whoever calls has seen the first"
    held = spool if spool.on_disk else spool[:]
    taken = from_rows if spool.ndim == 2 else from_values
    known = known_labels(labels, range(len(labels)), where)
    return taken(held, known, reading, where)


def named_by(images: ImageSet, classes: Sequence[str]) -> ImageSet:
    """Images whose labels, if they have some, count these classes, if there are some."""
    if images.labels is None or not classes:
        return images
    words = np.array(images.classes)[images.labels] if images.classes else images.labels
    with named(f"{images.name}:"):
        return dataclasses.replace(images, labels=words, classes=tuple(classes))


def items_of(source: Any, reading: Reading, where: str) -> Iterator[Item]:
    """The items of a dataset, or of the batches of a loader, in their order.

    PyTorch's random state is afterwards what it was, though every loader draws from it.
    """
    with torch.random.fork_rng(devices=[]):
        if isinstance(source, DataLoader):
            if isinstance(source.sampler, RandomSampler):
                log.warning("%s: its loader shuffles, so the images are in another order", where)
            for batch in source:
                item = told(batch, reading, where)
                if source.batch_size is None and source.batch_sampler is None:
                    yield item
                    continue
                labels = [None] * len(item.image) if item.label is None else item.label
                for image, label in zip(item.image, labels, strict=True):
                    yield Item(image, label)
        elif isinstance(source, IterableDataset):
            yield from (told(item, reading, where) for item in source)
        elif not hasattr(source, "__len__"):
            raise DataError(
                f"{where} does not say how many images it holds",
                hint="give the dataset a __len__, or make it an IterableDataset",
            )
        else:
            yield from (told(source[index], reading, where) for index in range(len(source)))


def told(item: Any, reading: Reading, where: str) -> Item:
    """Image and label of an item: alone, a pair, or under the names of a dictionary.

    Raises:
        DataError: neither, or no label as asked for.

    Example:
        >>> told({"image": 1, "label": 2}, Reading(), "a"), told((1, 2), Reading(), "a")
        (Item(image=1, label=2), Item(image=1, label=2))
    """
    if isinstance(item, Mapping):
        image = chosen(item, reading.key, IMAGES)
        if image is None:
            raise DataError(
                f"{where}: its items hold {_names(item)}: which is the image?",
                hint=f"say {typed('key')}",
            )
        said = reading.label_column
        label = chosen(item, said, LABELS)
        if label is None and reading.labels and said not in {None, "none"}:
            raise DataError(
                f"{where}: its items hold {_names(item)}, nothing called {brief(str(said), 60)}",
                hint=f"say which is the label: {typed('label_column')}",
            )
        return Item(item[image], None if label is None else item[label])
    if isinstance(item, tuple | list) and item:
        if len(item) > 2:
            raise DataError(
                f"{where}: its items hold {len(item)} things, not an image and its label",
                hint="let the dataset give pairs, or dictionaries with image and label",
            )
        return Item(*item)
    return Item(item)


def _names(item: Mapping[Any, Any]) -> str:
    return brief(", ".join(map(str, item)))


def chosen(names: Collection[Any], said: str | None, usual: tuple[str, ...]) -> Any:
    """The name that was asked for, else the one that is usual, in letters of any case, if there is one."""
    if said in names:
        return said
    wanted = (said.lower(),) if said else usual
    return next((name for name in names if str(name).lower() in wanted), None)


def stacked(column: Any) -> Any:
    """A column of a batch as a source of images: numbers as one array, pictures as a list.

    Example:
        >>> stacked([[[0, 1]], [[2, 3]]]).shape, stacked([b"GIF89a"])
        ((2, 1, 2), [b'GIF89a'])
    """
    if isinstance(column, np.ndarray | Tensor) and column.dtype != object:
        return column
    values = list(column)
    alike = len({np.shape(value) for value in values if not _encoded(value)}) == 1
    return np.array(values) if alike and not any(map(_encoded, values)) else values


def classes_of(source: Any) -> tuple[str, ...]:
    """Names of the classes, where the dataset or the one inside of it says them."""
    while source is not None:
        names = getattr(source, "classes", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(map(printable, names))
        source = getattr(source, "dataset", None)
    return ()


def _encoded(image: Any) -> bool:
    """Whether an image is a picture of Pillow, a file, or the bytes of one."""
    return isinstance(image, bytes | Path) or is_picture(image)


def _array(image: Any, index: int, where: str) -> np.ndarray:
    """An image that is an array or a tensor."""
    if isinstance(image, ImageSet):
        raise DataError(
            f"{where}: item {index} is no image, but a set of them",
            hint="one at a time: px.fit(model, train, val); part of a set is images[indices]",
        )
    with named(f"{where}: item {index}"):
        found = as_array(image)
    if found.dtype.kind not in "buifc" or found.ndim not in (1, 2, 3):
        what = f"{found.dtype} {found.shape}" if found.ndim else shown(image)
        raise DataError(f"{where}: item {index} is no image: {what}")
    return found


def _label(label: Any, index: int, where: str) -> int | str | None:
    """A label as an integer or a word; None if there is none."""
    if label is None:
        return None
    single = isinstance(label, Tensor | np.generic | np.ndarray) and label.ndim == 0
    plain = label.item() if single else label
    if isinstance(plain, bool) or not isinstance(plain, int | str):
        raise DataError(
            f"{where}: the label of item {index} is {shown(label)}, neither an integer nor a word",
            hint=f"leave labels out: {WITHOUT}",
        )
    return plain
