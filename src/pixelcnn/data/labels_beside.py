"""Labels in a file of their own, beside a file of one array: ``y_train.npy`` of ``x_train.npy``."""

import logging
from collections.abc import Callable
from pathlib import Path

from pixelcnn.data.keys import IMAGES, labels_key
from pixelcnn.data.npy import FileArray
from pixelcnn.data.packed import PACKINGS, OpenFile, plain_name
from pixelcnn.data.stored import Container, Single
from pixelcnn.errors import DataError
from pixelcnn.text import printable

log = logging.getLogger("pixelcnn")
SUFFIX = ".npy"
ENDS = (SUFFIX, *(SUFFIX + packing for packing in PACKINGS))


def labelled(
    path: Path,
    images: FileArray,
    beside: Callable[[Path], Path | None],
    read: Callable[[OpenFile], FileArray],
) -> Container:
    """An array, with the labels of the file beside it whose name says so.

    What cannot be the labels of these images is told of and left out, since a name alone proves little.

    Args:
        path: of the images.
        images: what the file holds.
        beside: the file of its labels, by its name, if there is one.
        read: the array of such a file.
    """
    if images.ndim < 2 or (file := beside(path)) is None:
        return Single(images=images)
    named = printable(path.name), printable(file.name)
    try:
        labels = read(OpenFile(file))
    except DataError as error:
        log.warning("%s: %s beside it is left out, since it %s", *named, error)
        return Single(images=images)
    rows = {images.shape[:1], (*images.shape[:1], 1)}
    if labels.shape not in rows or labels.dtype.kind not in "iuUS":
        what = f"{labels.dtype} {labels.shape}"
        words = "%s: %s beside it is left out: labels are integers or words (%d,), it holds %s"
        log.warning(words, *named, len(images), what)
        return Single(images=images)
    log.info("%s: labels from %s", *named)
    return Single(images=images, labels=labels)


def file_of_labels(path: Path) -> Path | None:
    """The file beside this one that has its name with labels in place of images, if there is one."""
    name = plain_name(path).removesuffix(SUFFIX)
    if not set(name.split("_")) & set(IMAGES):
        return None
    arrays = {plain_name(found).removesuffix(SUFFIX): found for found in _arrays(path.parent)}
    key = labels_key(arrays, name)
    return None if key is None else arrays[key]


def _arrays(folder: Path) -> list[Path]:
    """The files of arrays in a folder; none where it may not be listed."""
    try:
        return sorted(file for file in folder.iterdir() if file.name.lower().endswith(ENDS))
    except OSError:
        return []
