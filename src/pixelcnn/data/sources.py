"""Every kind of source that images are taken from: how it is told, what it has a use for, what reads it."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pixelcnn.config import checked
from pixelcnn.data import (
    data_frame,
    hugging_face,
    items,
    picture_list,
    pictures,
    prepare,
    values,
    zarr_store,
)
from pixelcnn.data.arrays import FROM_MATLAB, read_arrays
from pixelcnn.data.conditions import given_by
from pixelcnn.data.geometry import fitted
from pixelcnn.data.idx import NAME
from pixelcnn.data.image_set import ImageSet, Splits
from pixelcnn.data.opening import brief, missing
from pixelcnn.data.packed import plain_name
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.data.reading import Reading, typed
from pixelcnn.data.sets import DATASETS
from pixelcnn.data.splits import Parts, alike, divided, joined, of_a_set, splits_of, taken
from pixelcnn.data.table import read_table
from pixelcnn.errors import ConfigError, DataError, UnknownName
from pixelcnn.folders import at_home
from pixelcnn.registry import closest
from pixelcnn.text import printable

ARRAYS = (
    ".npy", ".npz", ".h5", ".hdf5", ".hdf", ".he5", ".nc", ".fits", ".fit", ".fts", ".fz", ".idx",
)  # fmt: skip
TABLES = (".csv", ".tsv", ".txt", ".dat", ".amat")
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
"""Files that hold folders."""
KINDS = (
    "a folder of images, image files, .npy, .npz, .h5, .zarr, .fits, IDX files (…-idx3-ubyte), .csv or .tsv,"
    " each packed by .gz or .xz or not; .parquet or .arrow"
)
RESTRICTED = {
    "layout": "arrays and tables",
    "skip_bad": "image files and tables",
    "label_column": "a table or a data frame",
    "key": "data with several arrays or columns",
    "condition": "a table, a data frame or a file of arrays",
}
"""Options that only some kinds of own data have a use for, and which these are."""
OF_PICTURES = frozenset(("skip_bad",))
OF_LISTS = frozenset(("skip_bad", "label_column"))
OF_TABLES = frozenset(("layout", "skip_bad", "label_column", "condition"))
OF_FRAMES = frozenset(("layout", "key", "label_column", "condition"))
OF_ARRAYS = frozenset(("layout", "key", "condition"))
OF_VALUES = frozenset(("layout",))
OF_DATASETS = frozenset(("layout", "key", "label_column", "skip_bad"))
"""Those of them that kinds of sources have a use for."""


class Kind(NamedTuple):
    """One kind of source.

    Attributes:
        fits: whether something is of this kind.
        read: its images, or the parts that they come in.
        useful: options of :data:`RESTRICTED` that it has a use for.
    """

    fits: Callable[[Any], bool]
    read: Callable[[Any, Reading], ImageSet | Parts]
    useful: frozenset[str] = frozenset()


def splits_from(source: Any, reading: Reading, test: Any = None) -> Splits:
    """A source in three parts, see :func:`pixelcnn.data.splits.splits_of`."""
    parts, other, keys = parts_of(source, reading, alone=test is None), None, None
    if test is not None:
        other = whole_of(test, alike(reading, next(iter(parts.values()))), alone=False)
    packed = prepare.prepared_folder(at_home(source)) if is_path(source) else None
    if packed is not None and parts["all"].group is None:
        keys = prepare.prepared_keys(packed, len(parts["all"]))
    return splits_of(parts, keys, other)


def whole_of(source: Any, reading: Reading, *, alone: bool = True) -> ImageSet:
    """All images of a source, in their order; ``alone`` is that of :func:`parts_of`."""
    parts = list(parts_of(source, reading, alone=alone, whole=True).values())
    if len(parts) == 1:
        return parts[0]
    return joined(*(part.frozen() for part in parts))  # of a dynamic set the others are already


def parts_of(source: Any, reading: Reading, *, alone: bool = True, whole: bool = False) -> Parts:
    """The images of any source but a named set, in the size that was asked for.

    A folder with folders ``train`` and ``test`` says for itself what are parts, and so does a file with
    ``x_train`` and ``x_test``, or a table with a column ``split``.

    Args:
        source: what is not a named set.
        reading: how.
        alone: there is no other source that a file of conditions is meant for.
        whole: leave a table that says what are parts in one piece, in its order.

    Raises:
        ConfigError: no images can be taken from it, or an option does not go with it.
        DataError: it is not there, or cannot be used.
    """
    source, kind = _kind_of(source)
    if kind is None and isinstance(source, Path):
        raise DataError(
            f"{printable(source.name)} is no known kind of data",
            hint=f"{_remedy(source)}known: {KINDS}",
        )
    if kind is None:
        raise ConfigError(
            f"no images can be taken from something of type {type(source).__name__}",
            hint="what can be read but once is to be kept first: list(images)"
            if isinstance(source, Iterator)
            else "an array, a tensor, a data frame, pictures of Pillow, an ImageSet,"
            f" a dataset of Hugging Face or PyTorch, hf:NAME, or {KINDS}",
        )
    check_useful(reading, kind.useful, source)
    found = kind.read(source, reading)
    parts = {"all": found} if isinstance(found, ImageSet) else found
    for part, images in parts.items():
        if images.name in DATASETS and not (of_a_set(source) or isinstance(source, Splits)):
            # A model file must not take it for the named set.
            images = dataclasses.replace(images, name=f"./{images.name}")
        if reading.size is not None:
            images = fitted(images, reading.size, reading.fit)
        if reading.condition_file is not None:
            only = alone and len(parts) == 1
            images = given_by(images, reading.condition_file, reading.size, reading.fit, alone=only)
        parts[part] = images
    return parts if whole else divided(parts)


def is_folder(source: Any) -> bool:
    """Whether a source is a folder of image files, and not, for one, a Zarr store."""
    _, kind = _kind_of(source)
    return kind is not None and kind.read is pictures.read_folder


def has_columns(source: Any) -> bool:
    """Whether a source may hold conditions under names beside its images, as tables and arrays do."""
    if isinstance(source, str) and source in DATASETS:
        return False
    _, kind = _kind_of(source)
    return kind is None or "condition" in kind.useful


def _kind_of(source: Any) -> tuple[Any, Kind | None]:
    """What was meant, a path or something in memory, and which kind of source it is."""
    meant = existing(source) if is_path(source) else source
    kinds = ON_DISK if isinstance(meant, Path) else IN_MEMORY
    return meant, next((kind for kind in kinds if kind.fits(meant)), None)


def _remedy(path: Path) -> str:
    """What to do with a file of a kind that is not read, if that can be said."""
    if plain_name(path).endswith(ARCHIVES):
        return "unpack it, and give the folder; "
    stored = "np.savez(path, images=…, labels=…)"
    if plain_name(path).endswith(".mat"):
        return f"{FROM_MATLAB}; "
    pickled = plain_name(path).endswith((".pt", ".pth"))  # a pickle inside an archive
    if path.is_file() and not pickled:
        with contextlib.suppress(OSError), path.open("rb") as stream:
            pickled = re.match(rb"\x80[\x02-\x05]", stream.read(2)) is not None
    return f"a pickle may run anything, so store its arrays with {stored}; " if pickled else ""


def is_path(source: Any) -> bool:
    """Whether something is a path."""
    return isinstance(source, str | Path)


def check_useful(reading: Reading, useful: frozenset[str], source: Any) -> None:
    """Refuses what was asked of data that have no use for it.

    Args:
        reading: what was asked.
        useful: those of :data:`RESTRICTED` that the data have a use for.
        source: the data.

    Raises:
        ConfigError: names the option.

    Example:
        >>> try:
        ...     check_useful(Reading(skip_bad=True), frozenset(["layout"]), Path("a.npy"))
        ... except ConfigError as error:
        ...     print(error)
        skip_bad goes with image files and tables, a.npy is none
    """
    for option in RESTRICTED.keys() - useful:
        if getattr(reading, option):
            where = f"the {type(source).__name__}"
            where = printable(source.name) if isinstance(source, Path) else where
            raise ConfigError(
                f"{option} goes with {RESTRICTED[option]}, {where} is none",
                hint=f"leave out {typed(option)}",
            )


def existing(data: Path | str) -> Path | str:
    """The path that was meant; the name of a dataset of Hugging Face stays one.

    Raises:
        UnknownName: no such path, and it looks like the name of a set.
        DataError: no such path.
    """
    path = at_home(checked("data", data, str | Path))
    if hugging_face.named(data):
        return data
    try:
        if path.exists():
            return path
    except OSError as error:
        raise DataError(f"{brief(str(data), 300)} cannot be read: {error.strerror}") from error
    text = brief(str(data), 300)
    if os.sep in text or path.suffix:
        raise missing(data)
    near = closest(text, list(DATASETS))
    raise UnknownName(
        f"no data set called {text!r}, and no such folder{near and '.'}{near}",
        hint=f"known: {', '.join(DATASETS)}, hf:NAME; or the path of a folder or a file",
    )


def holds_arrays(path: Path) -> bool:
    """Whether a path is a file of arrays.

    Example:
        >>> holds_arrays(Path("train-images-idx3-ubyte.gz")), holds_arrays(Path("a.H5"))
        (True, True)
    """
    name = plain_name(path)
    return name.endswith(ARRAYS) or NAME.search(name) is not None


ON_DISK = (
    Kind(hugging_face.saved, hugging_face.read_saved, OF_DATASETS),
    Kind(lambda path: prepare.prepared_folder(path) is not None, prepare.read_packed),
    Kind(zarr_store.is_store, read_arrays, OF_ARRAYS),
    Kind(Path.is_dir, pictures.read_folder, OF_PICTURES),
    Kind(holds_arrays, read_arrays, OF_ARRAYS),
    Kind(
        lambda path: plain_name(path).endswith(TABLES) and picture_list.fits(path),
        picture_list.read,
        OF_LISTS,
    ),
    Kind(lambda path: plain_name(path).endswith(TABLES), read_table, OF_TABLES),
    Kind(
        lambda path: path.suffix.lower() in hugging_face.SUFFIXES,
        hugging_face.read_file,
        OF_DATASETS,
    ),
    Kind(lambda path: path.suffix.lower() in SUFFIXES, pictures.read_listed, OF_PICTURES),
)
"""Kinds of files and folders, asked in this order."""

IN_MEMORY = (
    Kind(of_a_set, lambda source, _: taken(source)),
    Kind(lambda source: isinstance(source, Splits), lambda source, _: source._asdict()),
    Kind(hugging_face.named, hugging_face.read_named, OF_DATASETS),
    Kind(hugging_face.fits, hugging_face.read, OF_DATASETS),
    Kind(items.paired, items.read, OF_DATASETS),
    Kind(pictures.listed, pictures.read_listed, OF_PICTURES),
    Kind(data_frame.fits, data_frame.read, OF_FRAMES),
    Kind(values.is_labelled, values.read_labelled, OF_VALUES),
    Kind(values.is_array, values.read_values, OF_VALUES),
    Kind(items.fits, items.read, OF_DATASETS),
)
"""Kinds of everything else, likewise."""
