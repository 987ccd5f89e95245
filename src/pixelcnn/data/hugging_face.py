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

from pixelcnn.data import cells, data_frame, features, gate, items
from pixelcnn.data.arrays import from_rows, from_values
from pixelcnn.data.assignment import WORDS
from pixelcnn.data.columns import FIRST
from pixelcnn.data.files import PARTS, ImageFile, name_of
from pixelcnn.data.gate import brief
from pixelcnn.data.image_set import ImageSet
from pixelcnn.data.labels import known_labels
from pixelcnn.data.pictures import read_files
from pixelcnn.data.reading import Reading
from pixelcnn.data.splits import Parts, read_alike
from pixelcnn.data.stored import RowArray
from pixelcnn.errors import ConfigError, DataError, UnknownName
from pixelcnn.folders import at_home
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


def read_named(source: str, reading: Reading) -> Parts:
    """A dataset ``hf:OWNER/NAME``, perhaps ``/CONFIGURATION``, perhaps ``:SPLIT``; or ``hf:FOLDER``.

    What is in the library's cache already needs no network.

    Raises:
        DataError: it is not there, cannot be had or cannot be read.
        ConfigError: the library is missing.
    """
    datasets = _library()
    name, _, split = source.removeprefix(PREFIX).partition(":")
    folder = at_home(name)
    if folder.exists():
        name, configuration = str(folder), None
    elif NAME.fullmatch(name):
        *owner, last = name.split("/")
        name, configuration = ("/".join(owner), last) if len(owner) == 2 else (name, None)
    else:
        raise UnknownName(
            f"{brief(source, 100)} is no name of a dataset",
            hint="hf:OWNER/NAME, hf:OWNER/NAME/CONFIGURATION, hf:OWNER/NAME:SPLIT or hf:FOLDER",
        )
    with _told(printable(source)), _online(datasets, reading.download and not folder.exists()):
        found = datasets.load_dataset(name, configuration, split=split or None)
    return read(found, reading, printable(folder.name if folder.exists() else source))


def read_saved(path: Path, reading: Reading) -> Parts:
    """A folder that ``save_to_disk`` wrote."""
    where = name_of(path)
    with _told(where):
        found = _library().load_from_disk(str(path))
    return read(found, reading, where)


def read_file(path: Path, reading: Reading) -> Parts:
    """A Parquet or Arrow file; an Arrow file stays where it is, of the other the library caches a copy."""
    datasets, where = _library(), printable(path.name)
    with _told(where):
        if path.suffix.lower() == ".arrow":
            found = datasets.Dataset.from_file(str(path))
        else:
            found = datasets.Dataset.from_parquet(str(path))
    return {"all": _one(found, reading, where)}


def read(source: Any, reading: Reading, where: str = "") -> Parts:
    """A dataset, or the parts of several: ``train``, ``validation`` and ``test``, as folders are called.

    Raises:
        ConfigError: several, of which none says that it is to train on.
        DataError: see :func:`pixelcnn.data.load`.
    """
    if not isinstance(source, Mapping):
        where = where or printable(source.info.dataset_name or "dataset")
        return {"all": _one(source, reading, where)}
    where = where or "datasets"
    found = {part: source[name] for name in source if (part := WORDS.get(name.lower(), ""))}
    others = [name for name in source if name.lower() not in WORDS]
    if len(source) == 1:
        return {"all": _one(next(iter(source.values())), reading, where)}
    if "train" not in found or others:
        raise ConfigError(
            f"{where} has the splits {brief(', '.join(source))}",
            hint="take one, datasets['NAME'] or hf:NAME:SPLIT; only train, validation and test go together",
        )
    ordered = {part: found[part] for part in PARTS if part in found}
    return read_alike(ordered, lambda dataset, told: _one(dataset, told, where), reading)


def _one(dataset: Any, reading: Reading, where: str) -> ImageSet:
    """One dataset as a set: its column of images, and that of their labels."""
    known = dataset.features
    with _told(where):
        if known is None or (getattr(dataset, "format", None) or {}).get("type") == "custom":
            rows = (items.told(row, reading, where) for row in dataset)
            return items.set_of(rows, (), reading, where)
        whole = hasattr(dataset, "__len__")
        classes = features.classes_of(known, reading, where)
        if whole and _holds_cells(dataset, reading.key):
            found = data_frame.read(dataset.with_format(None).to_pandas(), reading)["all"]
            return items.named_by(dataclasses.replace(found, name=where), classes)
        if whole and reading.key is None and features.is_flat(known, _lengths(dataset)):
            table = dataset.with_format("arrow")[:]
            images = data_frame.of_columns(table.column_names, table.columns, reading, where)
            return items.named_by(images, classes)
        image = features.image_column(known, reading, where)
        label = features.label_column(known, reading, where)
        columns = [image] if label is None else [image, label]
        pictures = features.kind_of(known[image]) in {"Image", "bytes"}
        if pictures:
            dataset = dataset.cast_column(image, _library().Image(decode=False))
        dataset = dataset.select_columns(columns).with_format(None)
        if not hasattr(dataset, "__len__"):
            rows = (items.Item(features.content_of(row[image]) if pictures else row[image],
                    None if label is None else row[label]) for row in dataset)  # fmt: skip
            return items.set_of(rows, classes, reading, where)
        if not len(dataset):
            raise DataError("holds no images")
        table = dataset.with_format("arrow")
        labels = None
        if label is not None:  # without the images, which memory may not hold
            column = table.select_columns([label])[:].column(label)
            labels = known_labels(column.to_pylist(), range(len(dataset)), where)
        images = (_pictures if pictures else _arrays)(
            table.select_columns([image]), image, labels, reading, where
        )
    return items.named_by(images, classes)


def _holds_cells(dataset: Any, key: str | None) -> bool:
    """Whether texts in its first rows are images, see :mod:`pixelcnn.data.cells`.

    Those of the column that is asked for; else of any, unless another column is one of images.
    """
    known, short = dataset.features, 0
    if key is None:
        short, lengths = len(known), _lengths(dataset)
        images = (name for name in known if features.kind_of(known[name]))
        if any(lengths.get(name, short + 1) > short for name in images):
            return False
    asked = known if key is None else known.keys() & {key}
    texts = [name for name in asked if "string" in str(getattr(known[name], "dtype", ""))]
    first = dataset.with_format(None).select_columns(texts)[:FIRST] if texts else {}
    said = (each for name in texts for each in first[name] if each is not None)
    return any(len(cells.numbers_in(each)) > short for each in said)


def _lengths(dataset: Any) -> dict[str, int]:
    """How many numbers the first lists of a dataset hold, by their columns."""
    known = dataset.features
    lists = [name for name in known if features.kind_of(known[name]) == "pixels"]
    first = dataset.select_columns(lists)[:1] if lists else {}
    return {name: len(each) for name in first for each in first[name][:1] if each is not None}


def _pictures(
    table: Any, column: str, labels: Sequence[Any] | None, reading: Reading, where: str
) -> ImageSet:
    """A column of encoded pictures."""

    def fetch(rows: Sequence[int]) -> list[Any]:
        return [features.content_of(each) for each in table[list(rows)].column(column).to_pylist()]

    some = (range(len(table))[at : at + TOGETHER] for at in range(0, len(table), TOGETHER))
    contents = itertools.chain.from_iterable(map(fetch, some))
    files = (ImageFile(each, f"image {at}") for at, each in enumerate(contents))
    return read_files(files, reading.of_pictures, where, labels, with_names=False, again=fetch)


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
    return taken(values, labels, reading.source_levels, reading, where)


def _library() -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            "datasets of Hugging Face need their library", hint="pip install 'pixelcnn[data]'"
        ) from error
    return datasets


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Says in one line what the library complains of; its bars show in terminals alone."""
    datasets = _library()
    quiet = datasets.are_progress_bars_disabled() or in_terminal()
    if not quiet:
        datasets.disable_progress_bars()
    try:
        with gate.named(where, _remedy):
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
