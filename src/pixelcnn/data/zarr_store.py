"""Zarr stores in a folder, versions 2 and 3: arrays by their paths, chunks decoded as they are needed.

A chunk is a file of its own. It is read here and not by the library ``zarr``, which starts threads and
unpacks whatever a chunk claims to hold: here a chunk is opened as every file is, and becomes no
larger than the array says.

Sources: the Zarr core specification, version 3.1, and the Zarr storage specification, version 2
(https://zarr-specs.readthedocs.io).
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelcnn.data.opening import brief, content
from pixelcnn.data.stored import (
    MAX_ARRAYS,
    MAX_DEPTH,
    TOGETHER,
    Container,
    StoredArray,
    check_growth,
    check_kind,
    sides,
)
from pixelcnn.data.zarr_codecs import Codecs, as_version_3, codecs_of, gather
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

ARRAY_2, GROUP_2, NODE_3 = ".zarray", ".zgroup", "zarr.json"


def is_store(folder: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any(os.path.isfile(folder / name) for name in (NODE_3, ARRAY_2, GROUP_2))


class Zarr(Container):
    """The arrays of a Zarr store by their paths, such as ``group/images``; a lone one is called ``images``.

    Args:
        folder: of the store; links in it to other folders are not followed.

    Raises:
        DataError: the reason alone: damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
        left, count = [("", folder, 0)], 0
        while left:
            name, place, depth = left.pop(0)
            count += 1
            if count > MAX_ARRAYS or depth > MAX_DEPTH:
                raise DataError("holds too many groups in groups to look through")
            described = _description(place)
            if described is not None and "shape" in described:
                self._found[name or "images"] = place, described
            else:
                left += [
                    (f"{name}/{e.name}".lstrip("/"), Path(e.path), depth + 1)
                    for e in _folders(place)
                ]
        self.names = tuple(self._found)

    def shape(self, name: str) -> tuple[int, ...]:
        return sides(self._found[name][1]["shape"])

    def __getitem__(self, name: str) -> "ZarrArray":
        return ZarrArray(*self._found[name])


def _folders(place: Path) -> list[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        found = [each for each in entries if each.is_dir(follow_symlinks=False)]
    return sorted(found, key=lambda each: each.name)


def _description(place: Path) -> Mapping[str, Any] | None:
    """What a folder of a store says of itself, if it is an array or a group."""
    for name in (NODE_3, ARRAY_2, GROUP_2):
        if (place / name).exists():
            found = json.loads(content(place / name))
            if isinstance(found, dict) and found.get("zarr_format") in (2, 3):
                return found
            raise DataError(f"is damaged: its {name} describes no array or group")
    return None


class ZarrArray(StoredArray):
    """An array of a Zarr store.

    Args:
        folder: of the array.
        described: what its description says, version 2 or 3.

    Raises:
        DataError: the reason alone: no numbers, or a description that is not understood.
    """

    def __init__(self, folder: Path, described: Mapping[str, Any]) -> None:
        self._folder, self.shape = folder, sides(described.get("shape"))
        try:
            self._understand(as_version_3(described))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            raise DataError(
                f"is damaged: its description lacks or misspells {brief(str(error), 60)}"
            ) from error
        if len(self._chunks) != len(self.shape) or not all(self._chunks):
            raise DataError(f"has chunks {self._chunks} for the shape {self.shape}")
        inner = self._codecs.shard or self._chunks
        if len(inner) != len(self.shape) or any(
            a % b for a, b in zip(self._chunks, inner, strict=True)
        ):
            raise DataError(f"has chunks {inner} in shards {self._chunks}")
        self.block = inner[0] if inner else 1
        self._chunk_bytes = math.prod(inner) * self.dtype.itemsize
        stored = sum(_size(entry) for entry in _files(folder)) if self.size else 0
        check_growth(stored, self.nbytes)
        check_growth(stored, self._chunk_bytes)
        afford(self._chunk_bytes)
        self._kept: tuple[tuple[int, ...], np.ndarray] | None = None

    def _understand(self, described: Mapping[str, Any]) -> None:
        """Sets what a description of version 3 says beside the shape."""
        grid, keys = described["chunk_grid"], described["chunk_key_encoding"]
        if grid["name"] != "regular" or keys["name"] not in ("default", "v2"):
            raise DataError("has chunks of several sizes, or names for them, that are not read")
        kind, plain = described["data_type"], keys["name"] == "v2"
        self.dtype = np.dtype("?" if kind == "bool" else kind if isinstance(kind, str) else "O")
        self._chunks = sides(grid["configuration"]["chunk_shape"])
        self._separator = keys.get("configuration", {}).get("separator", "." if plain else "/")
        self._prefix = "" if plain else "c"
        check_kind(self.dtype, self.shape)
        self._codecs: Codecs = codecs_of(described["codecs"], self.dtype, len(self.shape))
        if self._separator not in (".", "/"):
            raise DataError(f"has chunks named with {brief(str(self._separator), 9)} in between")
        self._fill = np.zeros((), self.dtype)
        if (value := described.get("fill_value")) is not None:
            self._fill[...] = value

    def rows(self, start: int, stop: int) -> np.ndarray:
        if not self.shape:
            return self._chunk(()).copy()
        result = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if result.size:
            gather(result, start, self.shape, self._chunks, self._rows_of)
        return result

    def _rows_of(self, place: tuple[int, ...], first: int, last: int) -> np.ndarray:
        """Some rows of a chunk."""
        if self._codecs.shard is None:
            return self._chunk(place)[first:last]
        path = self._path(place)
        shape = (last - first, *self._chunks[1:])
        afford(math.prod(shape) * self.dtype.itemsize)
        part = np.full(shape, self._fill, self.dtype)
        if path.exists():
            self._codecs.read_shard(path, self._chunks, first, part)
        return part

    def _chunk(self, place: tuple[int, ...]) -> np.ndarray:
        """A chunk; the last one is kept, if it is not large."""
        kept = self._kept  # in one piece: another thread may be at another chunk
        if kept is not None and kept[0] == place:
            return kept[1]
        path = self._path(place)
        if path.exists():
            found = self._codecs.decoded(content(path, 1), self._chunks)
        else:
            found = np.broadcast_to(self._fill, self._chunks)
        self._kept = (place, found) if found.nbytes <= TOGETHER else None
        return found

    def _path(self, place: tuple[int, ...]) -> Path:
        parts = [*filter(None, [self._prefix]), *map(str, place)]
        return self._folder / (self._separator.join(parts) or "0")


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files below a folder; links to folders are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link to nowhere
        return 0
