"""Datasets of Hugging Face: of its Hub by name, on the disk, or in memory.

The library is imported when one is used; no code of a dataset is ever run.
"""

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixelcnn.data import data_frame, features, items, opening
from pixelcnn.data.arrays import from_rows, from_values
from pixelcnn.data.assignment import WORDS, assigned, assigning
from pixelcnn.data.files import PARTS, ImageFile, name_of
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.labels import known_labels
from pixelcnn.data.opening import brief
from pixelcnn.data.pictures import read_files
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.stored import RowArray, needed
from pixelcnn.errors import ConfigError, DataError, UnknownName
from pixelcnn.folders import at_home, is_there
from pixelcnn.text import in_terminal, printable

PREFIX = "hf:"
NAME = re.compile(r"[\w.-]+(/[\w.-]+){0,2}")
"""``NAME``, ``OWNER/NAME`` or ``OWNER/NAME/CONFIGURATION``."""
SUFFIXES = (".parquet", ".arrow")
CLASSES = frozenset(("Dataset", "IterableDataset", "DatasetDict", "IterableDatasetDict"))
TOGETHER = 64
"""Pictures that are fetched at a time while all are looked at."""
TIMEOUT = 5
"""Seconds to wait for the Hub's address; the library itself would try again and again for half a minute."""


def named(source: Any) -> bool:
    """Whether something is the name of a dataset, as ``hf:OWNER/NAME``."""
    return isinstance(source, str) and source.startswith(PREFIX)


def fits(source: Any) -> bool:
    """Whether something is a dataset of Hugging Face, or a dictionary of some."""
    return any(
        kind.__module__.partition(".")[0] == "datasets" and kind.__name__ in CLASSES
        for kind in type(source).__mro__
    )


def saved(path: Path) -> bool:
    """Whether a folder is what ``save_to_disk`` wrote."""
    alone = all(os.path.isfile(path / name) for name in ("state.json", "dataset_info.json"))
    return alone or os.path.isfile(path / "dataset_dict.json")


def read_named(source: str, reading: Reading) -> ImageSet | Parts:
    """A dataset ``hf:OWNER/NAME``, perhaps ``/CONFIGURATION``, perhaps ``:SPLIT``; or ``hf:FOLDER``.

    What is in the library's cache already needs no network.

    Raises:
        DataError: it is not there, cannot be had or cannot be read.
        ConfigError: the library is missing.
    """
    datasets = _library()
    name, _, split = source.removeprefix(PREFIX).partition(":")
    folder = at_home(name)
    if here := bool(name) and is_there(folder):
        name, configuration = str(folder), None
    elif NAME.fullmatch(name):
        *owner, last = name.split("/")
        name, configuration = ("/".join(owner), last) if len(owner) == 2 else (name, None)
    else:
        raise UnknownName(
            f"{brief(source, 100)} is no name of a dataset",
            hint="hf:OWNER/NAME, hf:OWNER/NAME/CONFIGURATION, hf:OWNER/NAME:SPLIT or hf:FOLDER",
        )
    with _told(printable(source)), _online(datasets, reading.download and not here):
        found = datasets.load_dataset(name, configuration, split=split or None)
    return read(found, reading, printable(folder.name if here else source))


def read_saved(path: Path, reading: Reading) -> ImageSet | Parts:
    """A folder that ``save_to_disk`` wrote."""
    where = name_of(path)
    with _told(where):
        found = _library().load_from_disk(str(path))
    return read(found, reading, where)


def read_file(path: Path, reading: Reading) -> ImageSet:
    """A Parquet or Arrow file; an Arrow file stays where it is, of the other the library caches a copy."""
    datasets, where = _library(), printable(path.name)
    with _told(where):
        if path.suffix.lower() == ".arrow":
            found = datasets.Dataset.from_file(str(path))
        else:
            found = datasets.Dataset.from_parquet(str(path))
    return _one(found, reading, where)


def read(source: Any, reading: Reading, where: str = "") -> ImageSet | Parts:
    """A dataset, or the parts of several: ``train``, ``validation`` and ``test``, as folders are called.

    Raises:
        ConfigError: several, of which none says that it is to train on.
        DataError: see :func:`pixelcnn.data.load`.
    """
    if not isinstance(source, Mapping):
        return _one(source, reading, where or printable(source.info.dataset_name or "dataset"))
    where = where or "datasets"
    found = {part: source[name] for name in source if (part := WORDS.get(name.lower(), ""))}
    if len(source) == 1:
        return _one(next(iter(source.values())), reading, where)
    if "train" not in found or len(found) < len(source):  # others, or two that are one part
        raise ConfigError(
            f"{where} has the splits {brief(', '.join(source))}",
            hint="take one, datasets['NAME'] or hf:NAME:SPLIT; only train, validation and test go together",
        )
    ordered = {part: found[part] for part in PARTS if part in found}
    return read_alike(ordered, lambda dataset, told: _one(dataset, told, where), reading)


def _one(dataset: Any, reading: Reading, where: str) -> ImageSet:
    """One dataset as a set."""
    known, whole = dataset.features, hasattr(dataset, "__len__")
    with _told(where):
        if known is None or (getattr(dataset, "format", None) or {}).get("type") == "custom":
            found = (items.told(row, reading, where) for row in dataset)
            return items.set_of(found, reading, where)
        if whole and features.holds_cells(dataset, reading.key):
            frame = dataset.with_format(None).to_pandas()
            images = dataclasses.replace(data_frame.read(frame, reading), name=where)
        elif whole and reading.key is None and features.is_flat(dataset):
            table = dataset.with_format("arrow")[:]
            images = data_frame.of_columns(table.column_names, table.columns, reading, where)
        else:
            images = _of_column(dataset, reading, where)
        classes = getattr(known.get(features.label_column(known, reading, where)), "names", None)
    return items.named_by(images, tuple(map(printable, classes or ())))


def _of_column(dataset: Any, reading: Reading, where: str) -> ImageSet:
    """A dataset with a column of images, and perhaps one of labels and one of parts."""
    known = dataset.features
    image = features.image_column(known, reading, where)
    label = features.label_column(known, reading, where)
    pictures = features.kind_of(known[image]) in {"Image", "bytes"}
    if pictures:
        dataset = dataset.cast_column(image, _library().Image(decode=False))
    dataset = dataset.with_format(None)
    if not hasattr(dataset, "__len__"):
        rows = dataset.select_columns([image] if label is None else [image, label])
        found = (items.Item(features.content_of(row[image]), row.get(label)) for row in rows)
        return items.set_of(found, reading, where)
    if not len(dataset):
        raise DataError("holds no images")
    table = dataset.with_format("arrow")

    def column(name: str) -> list[Any]:  # without the images, which memory may not hold
        return table.select_columns([name])[:].column(name).to_pylist()

    labels = known_labels(column(label), range(len(table)), where) if label is not None else None
    parts = [part for name in _parts(dataset, label) for part in column(name)]
    table = table.select_columns([image])
    if pictures:
        return _pictures(table, image, labels, parts, reading, where)
    images = _arrays(table, image, labels, reading, where)
    return dataclasses.replace(images, assigned=assigned(parts, where) if parts else None)


def _parts(dataset: Any, label: str | None) -> list[str]:
    """The column that says which part of a split each image is in, if there is one."""
    first = features.texts_of(dataset)
    taken = [at for at, name in enumerate(first) if name == label]
    places = assigning([*first], [*zip(*first.values(), strict=True)], taken)
    return [name for at, name in enumerate(first) if at in places]


def _pictures(
    table: Any, column: str, labels: Any, parts: list[str], reading: Reading, where: str
) -> ImageSet:
    """A column of encoded pictures."""

    def fetch(rows: Sequence[int]) -> list[Any]:
        return [features.content_of(each) for each in table[list(rows)].column(column).to_pylist()]

    some = (range(len(table))[at : at + TOGETHER] for at in range(0, len(table), TOGETHER))
    contents = itertools.chain.from_iterable(map(fetch, some))
    files = (ImageFile(each, f"image {at}") for at, each in enumerate(contents))
    return read_files(
        files, reading.of_pictures, where, labels, parts, with_names=False, again=fetch
    )


def _arrays(table: Any, column: str, labels: Any, reading: Reading, where: str) -> ImageSet:
    """A column of arrays of one shape, or of rows of pixels."""
    first = features.array_of(table[:1].column(column))
    shape = first.shape[1:]

    def read(rows: Any) -> Any:
        found = features.array_of(
            table[rows if isinstance(rows, slice) else rows.tolist()].column(column)
        )
        if found.shape[1:] != shape:
            raise DataError(f"{where}: images differ in shape: {shape} and others")
        return found

    values = RowArray((len(table), *shape), first.dtype, read)
    taken = from_rows if len(shape) == 1 else from_values
    return taken(values, labels, reading, where)


def _library() -> Any:
    return needed("datasets", "a dataset of Hugging Face", "data")


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Says in one line what the library complains of; its bars show in terminals alone."""
    datasets = _library()
    quiet = datasets.are_progress_bars_disabled() or in_terminal()
    if not quiet:
        datasets.disable_progress_bars()
    try:
        with opening.named(where, _remedy):
            yield
    finally:
        if not quiet:
            datasets.enable_progress_bars()


def _remedy(error: Exception) -> str:
    """What helps against an error of the library."""
    if isinstance(error, ConnectionError):
        return "where there is a network: load_dataset(NAME).save_to_disk(FOLDER); here give FOLDER"
    if "config name is missing" in str(error).lower():
        return "hf:OWNER/NAME/CONFIGURATION"
    return ""


@contextlib.contextmanager
def _online(datasets: Any, wanted: bool) -> Iterator[None]:
    """Has the library look into its cache alone, where the Hub cannot be reached."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or not (
        wanted and _reachable(datasets.config.HF_ENDPOINT)
    )
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _reachable(endpoint: str) -> bool:
    """Whether the Hub answers at all; a proxy is trusted to know."""
    import socket
    import urllib.request

    if urllib.request.getproxies():
        return True
    address = urlsplit(endpoint)
    try:
        socket.create_connection((address.hostname, address.port or 443), TIMEOUT).close()
    except OSError:
        return False
    return True
