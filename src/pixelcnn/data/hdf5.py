"""HDF5 files: data sets by their paths, read a block of rows at a time.

A file may name other files: in links, as the source of virtual data sets, as the place of raw values, as
filters. None of these names is ever followed. HDF5 itself reads and writes nothing but the one stream that it
is given, so that even a name that was overlooked leads nowhere.
"""

import itertools
import math
import zlib
from typing import Any

import numpy as np

from pixelcnn.data.opening import brief
from pixelcnn.data.packed import OpenFile
from pixelcnn.data.stored import (
    MAX_ARRAYS,
    MAX_DEPTH,
    TOGETHER,
    Container,
    StoredArray,
    check_growth,
    check_held,
    check_kind,
    needed,
)
from pixelcnn.errors import DataError
from pixelcnn.memory import afford

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""
GZIP, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32_000
FILTERS = (GZIP, SHUFFLE, FLETCHER32, LZF)
"""What every build of h5py reads, without code from elsewhere."""
LONGEST, REFERENCE = 1_000, 16
"""Bytes of a word that are read, and those that say where it lies."""
REPACK = "h5repack -f GZIP=4 OLD NEW writes it so that every program reads it"


class Hdf5(Container):
    """The data sets of an HDF5 file by their paths, such as ``group/images``.

    Args:
        file: that is open.

    Raises:
        DataError: the reason alone: damaged.
        ConfigError: h5py is not installed.
    """

    def __init__(self, file: OpenFile) -> None:
        self._open = file
        self._h5py = needed("h5py", "an HDF5 file")
        self._file = self._h5py.File(file.stream, "r", rdcc_nbytes=TOGETHER)
        self._found: dict[str, Any] = {}
        self._look_through()
        self.names = tuple(self._found)

    def _look_through(self) -> None:
        """Finds the data sets behind hard links."""
        h5py = self._h5py
        left: list[tuple[str, Any, int]] = [("", self._file, 0)]
        count = 0
        while left:
            prefix, group, depth = left.pop(0)
            for name in group:
                count += 1
                if count > MAX_ARRAYS or depth > MAX_DEPTH:
                    raise DataError("holds too many groups in groups to look through")
                path = f"{prefix}{name}"
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    self.links += (path,)
                elif (kind := group.get(name, getclass=True)) is h5py.Dataset:
                    self._found[path] = group[name]
                elif kind is h5py.Group:
                    left.append((f"{path}/", group[name], depth + 1))

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._found[name].shape or ())

    def is_text(self, values: Any) -> bool:
        """Whether a data set is a list of words of any length."""
        kind = self._h5py.check_string_dtype(values.dtype)
        return kind is not None and kind.length is None and len(values.shape) == 1

    def __getitem__(self, name: str) -> "Hdf5Array":
        return Hdf5Array(self._found[name], self)


class Hdf5Array(StoredArray):
    """A data set of an HDF5 file.

    Args:
        values: as h5py has it.
        owner: whose stream is read.

    Raises:
        DataError: the reason alone: it lies elsewhere, is packed in an unusual way, holds no numbers, or
            fewer than it declares.
    """

    def __init__(self, values: Any, owner: Hdf5) -> None:
        self._values, self._owner = values, owner
        self._vetted: set[tuple[int, ...]] = set()
        properties = values.id.get_create_plist()
        if values.is_virtual or properties.get_external_count():
            raise DataError(
                "is a name for values in other files, which is never followed",
                hint="store the values themselves: h5repack, or in h5py create_dataset(name, data=old[:])",
            )
        if values.shape is None:
            raise DataError("is empty")
        self.shape, self.dtype = tuple(map(int, values.shape)), values.dtype
        self._text = owner.is_text(values)
        if self._text and not properties.get_nfilters():
            self.dtype = np.dtype(f"S{LONGEST}")
            if values.id.get_storage_size() < REFERENCE * self.size:
                raise DataError(f"is damaged: it declares {self.size:,} words and holds fewer")
            return
        check_kind(self.dtype, self.shape)
        self._chunks: tuple[int, ...] | None = values.chunks
        filters = [properties.get_filter(each) for each in range(properties.get_nfilters())]
        self._check_filters(filters)
        self._check_size(int(values.id.get_storage_size()))
        self.block = self._chunks[0] if self._chunks else 1

    def _check_filters(self, filters: list[tuple[Any, ...]]) -> None:
        kinds = [each[0] for each in filters]
        for kind, each in zip(kinds, filters, strict=True):
            if kind not in FILTERS:
                called = brief(each[3].decode("utf-8", "replace"), 40) if each[3] else "unknown"
                raise DataError(
                    f"is packed by filter {kind} ({called}), which is not read", hint=REPACK
                )
            width = self.dtype.itemsize
            honest = {SHUFFLE: (0, width), LZF: (2, width * math.prod(self._chunks or ()))}
            if kind in honest and each[2][honest[kind][0] :][:1] != honest[kind][1:]:
                raise DataError("is damaged: it is packed as values of another size")
        if len(kinds) != len(set(kinds)) or {GZIP, LZF} <= set(kinds):
            raise DataError("is packed twice", hint=REPACK)
        self._filters = kinds

    def _check_size(self, stored: int) -> None:
        if not self.size:
            return
        if self._chunks is None:
            check_held(self.nbytes, stored)
            return
        chunk = math.prod(self._chunks) * self.dtype.itemsize
        check_growth(stored, self.nbytes)
        check_growth(stored, chunk)
        afford(chunk)

    def rows(self, start: int, stop: int) -> np.ndarray:
        if self._text:  # one by one, since many may be the same long one
            return np.array([self._values[row] for row in range(start, stop)], self.dtype)
        if self._chunks is not None:
            self._vet(start, stop)
        return np.asarray(self._values[start:stop] if self.shape else self._values[()])

    def _vet(self, start: int, stop: int) -> None:
        """Looks once at every chunk of some rows: does it hold as many bytes as it should?

        HDF5 itself gives gzip as much memory as it asks for, and reads on behind a chunk that is too short.
        """
        assert self._chunks is not None, "there are chunks to look at"
        sides = [range(0, side, c) for side, c in zip(self.shape, self._chunks, strict=True)]
        sides[0] = range(start - start % self._chunks[0], stop, self._chunks[0])
        size = math.prod(self._chunks) * self.dtype.itemsize
        for at in itertools.product(*sides):
            if at in self._vetted:
                continue
            info = self._values.id.get_chunk_info_by_coord(at)
            if info.byte_offset is not None and not self._is_whole(at, info, size):
                raise DataError("is damaged: a chunk holds other bytes than it declares")
            self._vetted.add(at)

    def _is_whole(self, at: tuple[int, ...], info: Any, size: int) -> bool:
        """Whether a chunk as it lies in the file unpacks to ``size`` bytes, or does no harm else."""
        applied = [
            each for bit, each in enumerate(self._filters) if not info.filter_mask >> bit & 1
        ]
        if info.size > 2 * size + 2**16:
            return False
        if LZF in applied:
            # Its memory is that of the chunk, and it grows less than check_growth allows.
            return True
        if GZIP not in applied:
            return bool(info.size == size + 4 * (FLETCHER32 in applied))
        _, packed = self._values.id.read_direct_chunk(at)
        inside = size + 4 * (FLETCHER32 in applied[: applied.index(GZIP)])
        return _gzip_size(packed, inside) == inside


def _gzip_size(packed: bytes, most: int) -> int:
    """How many bytes gzip makes of some; -1 for more than ``most``, or if they are damaged."""
    decoder = zlib.decompressobj()
    try:
        found = len(decoder.decompress(packed, most + 1))
    except zlib.error:
        return -1
    return found if decoder.eof else -1
