"""Arrays in NumPy's files: headers read before anything else, and values read as they are needed.

NumPy parses the header of an ``.npy`` file and zipfile the index of an ``.npz`` file; what they declare is
compared with the size of the file and the memory at hand before there is an array.
"""

import dataclasses
import io
import math
import os
import threading
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from torch import Tensor

from pixelcnn.data.gate import afford, brief, opened, size_of
from pixelcnn.errors import DataError, ResourceError

MAGIC = b"\x93NUMPY"
"""The first bytes of an ``.npy`` file, whatever it is called."""
MAX_HEADER = 10_000
"""Bytes; what NumPy itself reads."""
MAX_AXES = 8
MAX_RATIO, ALWAYS_FINE = 200, 2**28
"""An array that grows more than so many times while it is unpacked, and beyond so many bytes, is refused."""
MAX_INDEX = 2**20
"""Bytes of an archive that zipfile may ask for at once: its index, which it reads whole."""
ENCRYPTED = 1
BLOCK, MAX_READ = 2**20, 2**30
"""Bytes of one read: out of an archive, and of a file, where no system takes more than 2 GB."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What an ``.npy`` file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int
    """Of the first value, in bytes from the start of the file."""

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], size: int) -> Header:
    """The header of an ``.npy`` file or member, checked against the bytes that there are.

    Args:
        stream: at the start.
        size: bytes of the whole file.

    Raises:
        DataError: the reason alone: no array, one of Python objects, or another number of values than
            the file holds.
    """
    try:
        header = _parsed(stream)
    except (DataError, OSError, zipfile.BadZipFile):
        raise
    except Exception as error:
        # The text of a header makes Python and NumPy stumble in many ways: SyntaxError, RecursionError...
        raise DataError("cannot be read: it has no header of an array") from error
    if header.dtype.hasobject:
        raise DataError(
            "is no plain array: Python objects are never loaded",
            hint="store integers: np.save(path, images.astype(np.uint8))",
        )
    if not header.dtype.itemsize:
        raise DataError(f"holds {header.dtype} values, which have no size")
    if len(header.shape) > MAX_AXES:
        raise DataError(f"has {len(header.shape)} axes")
    if not all(type(side) is int and 0 <= side < 2**63 for side in header.shape):
        raise DataError(f"declares the shape {brief(str(header.shape))}")
    if header.offset + header.nbytes != size:
        raise DataError(
            f"is damaged: it declares {brief(str(header.nbytes), 30)} bytes of values"
            f" and holds {size - header.offset}"
        )
    return header


def _parsed(stream: IO[bytes]) -> Header:
    """The header as NumPy reads it; it is short, and a few bytes could claim otherwise."""
    start = stream.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC:
        raise DataError("cannot be read: it is no array of NumPy")
    version, width = start[len(MAGIC)], 2 if start[len(MAGIC)] == 1 else 4
    count = stream.read(width)
    length = int.from_bytes(count, "little")
    if version not in {1, 2, 3} or length > MAX_HEADER:
        raise DataError("cannot be read: it has no header of an array")
    # Version 3 differs from 2 in the names of fields, and arrays with fields are no images.
    parse = npy.read_array_header_1_0 if version == 1 else npy.read_array_header_2_0
    shape, fortran, dtype = parse(io.BytesIO(count + stream.read(length)), MAX_HEADER)
    return Header(shape, fortran, dtype, len(start) + width + length)


class FileArray:
    """An array in an ``.npy`` file, of which only what is indexed is read.

    Plain reads, since a file that is cut while it is mapped ends the process with a signal.

    Args:
        path: the file; it stays open as long as there is this object.

    Raises:
        DataError: the reason alone, see :func:`read_header`.
        ResourceError: the order of its values is that of Fortran, and the memory does not hold them.
    """

    def __init__(self, path: Path) -> None:
        self._stream: BinaryIO = opened(path)
        self._lock = threading.Lock()
        self.header = read_header(self._stream, size_of(self._stream))
        self.shape, self.dtype = self.header.shape, self.header.dtype
        self.ndim, self.size, self.nbytes = (
            len(self.shape),
            math.prod(self.shape),
            self.header.nbytes,
        )
        self._whole: np.ndarray | None = None

    def __del__(self) -> None:
        if stream := getattr(self, "_stream", None):
            stream.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | Tensor) -> np.ndarray:
        """Some rows: a slice, or indices from 0 on.

        Raises:
            DataError: the file has become shorter, or cannot be read any more.
        """
        if self.header.fortran:
            return self.whole()[which]
        if isinstance(which, slice):
            rows = range(len(self))[which]
            result = np.empty((len(rows), *self.shape[1:]), self.dtype)
            if rows.step == 1:
                self._fill(result, rows.start)
                return result
            places = list(rows)
        else:
            places = which.tolist()
        result = np.empty((len(places), *self.shape[1:]), self.dtype)
        for place, row in zip(result, places, strict=True):
            self._fill(place[None], row)
        return result

    def whole(self) -> np.ndarray:
        """All values."""
        if self._whole is None:
            afford(self.nbytes)
            values = np.empty(self.shape, self.dtype, order="F" if self.header.fortran else "C")
            self._fill(values.T if self.header.fortran else values, 0)
            self._whole = values
        return self._whole

    def _fill(self, rows: np.ndarray, first: int) -> None:
        """Reads neighbouring rows, C-contiguous, from their place in the file."""
        left = _bytes_of(rows)
        place = self.header.offset + first * math.prod(self.shape[1:]) * self.dtype.itemsize
        while left:
            try:
                count = self._read_into(left, place)
            except OSError as error:
                raise DataError(f"an array cannot be read any more: {error.strerror}") from error
            if not count:
                raise DataError("an array has become shorter since it was opened")
            left, place = left[count:], place + count

    def _read_into(self, buffer: memoryview, place: int) -> int:
        """One read at a place of the file; threads and forked processes share the descriptor."""
        if hasattr(os, "preadv"):
            return os.preadv(self._stream.fileno(), [buffer[:MAX_READ]], place)
        with self._lock:
            self._stream.seek(place)
            return self._stream.readinto(buffer)  # type: ignore[attr-defined]


def _bytes_of(values: np.ndarray) -> memoryview:
    """The memory of a C-contiguous array, to be written to."""
    return memoryview(values.reshape(-1).view(np.uint8).data)


class Archive:
    """The arrays of an ``.npz`` file by their names.

    Args:
        stream: of the file.

    Raises:
        DataError: no archive, or an encrypted, doubled or impossible member, when it is asked for.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            self._archive = zipfile.ZipFile(_Bounded(stream))
        except zipfile.BadZipFile as error:
            raise DataError(
                "is neither an array nor an archive of arrays",
                hint="np.save(path, images) makes one; Python objects are never loaded",
            ) from error
        self._members: dict[str, list[zipfile.ZipInfo]] = {}
        for info in self._archive.infolist():
            if info.filename.endswith(".npy"):
                self._members.setdefault(info.filename.removesuffix(".npy"), []).append(info)
        self.names = tuple(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        first, *others = self._members[name]
        if others:
            raise DataError(f"holds {len(others) + 1} arrays called {brief(name)}")
        try:
            return self._array(first)
        except (DataError, ResourceError) as error:
            text = f"holds {brief(name)}, which {error}"
            raise type(error)(text, hint=error.hint) from error

    def _array(self, info: zipfile.ZipInfo) -> np.ndarray:
        if info.flag_bits & ENCRYPTED:
            raise DataError("is encrypted")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise DataError("is compressed in a way that NumPy does not use")
        if info.file_size > max(MAX_RATIO * info.compress_size, ALWAYS_FINE):
            raise DataError(
                f"unpacks {info.compress_size:,} bytes to {info.file_size:,}",
                hint="if that is right, store it as .npy: np.save(path, images)",
            )
        with self._archive.open(info) as stream:
            header = read_header(stream, info.file_size)
            afford(header.nbytes)
            values = np.empty(header.shape, header.dtype, order="F" if header.fortran else "C")
            left = _bytes_of(values.T if header.fortran else values)
            while left:
                count = stream.readinto(left[:BLOCK])  # type: ignore[attr-defined]
                if not count:
                    raise DataError("is damaged: it ends early")
                left = left[count:]
            if stream.read(1):  # the end also is where the checksum is compared
                raise DataError("is damaged: it is longer than it says")
        return values


class _Bounded:
    """A file that gives no more at once than an honest archive is asked for.

    zipfile reads the index of an archive whole, and makes an object of every forty bytes of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        found = self._stream.read(MAX_INDEX + 1 if size < 0 else min(size, MAX_INDEX + 1))
        if len(found) > MAX_INDEX:
            raise DataError("cannot be read: its index is larger than that of any set of arrays")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
