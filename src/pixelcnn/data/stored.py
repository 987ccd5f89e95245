"""Arrays whose rows are read, or made, when they are indexed; one beside others or alone.

A format is a :class:`Container`, which knows its arrays by name, and a :class:`StoredArray`, which reads
neighbouring rows. Everything else is the same for all of them.
"""

import abc
import importlib
import math
import tempfile
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pixelcnn.data.lazy import Rows
from pixelcnn.data.opening import brief
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.memory import afford

MAX_AXES = 8
MAX_ARRAYS = 10_000
"""Arrays and groups that one file is looked through for."""
MAX_DEPTH = 16
"""Of groups in groups."""
MAX_RATIO, ALWAYS_FINE = 200, 2**28
"""What grows more than so many times while it is unpacked, and beyond so many bytes, is refused."""
TOGETHER = 2**26
"""Bytes of one block of rows that are kept for the next read."""
HELD = 2**28
"""Bytes that a spool keeps in memory before it takes to the disk."""


class StoredArray(abc.ABC):
    """An array of which only what is indexed is read.

    Attributes:
        shape: of all of it.
        dtype: of its values, in the byte order of the file.
        block: rows that are stored together, so that reading one of them costs as much as reading all.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    block: int = 1

    @abc.abstractmethod
    def rows(self, start: int, stop: int) -> np.ndarray:
        """Neighbouring rows, which nobody else writes to."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Rows) -> np.ndarray:
        """Some rows: a slice that counts upwards, or indices from 0 on.

        Raises:
            DataError: they cannot be read any more.
        """
        if isinstance(which, slice):
            chosen = range(len(self))[which]
            if chosen.step == 1:
                return self.rows(chosen.start, max(chosen.start, chosen.stop))
            places = np.array(chosen, np.int64)
        else:
            places = which.numpy()
        result = np.empty((len(places), *self.shape[1:]), self.dtype)
        blocks = places // self.block
        order = np.argsort(blocks, kind="stable")
        cuts = np.flatnonzero(np.diff(blocks[order])) + 1
        for together in np.split(order, cuts) if len(order) else ():
            inside = places[together]
            first, last = int(inside.min()), int(inside.max())
            result[together] = self.rows(first, last + 1)[inside - first]
        return result

    def whole(self) -> np.ndarray:
        """All values.

        Raises:
            ResourceError: larger than memory.
        """
        afford(self.nbytes)
        return self.rows(0, len(self)) if self.shape else self.rows(0, 1)


class RowArray(StoredArray):
    """An array of which some rows are made at a time, in any order.

    Args:
        shape: of the whole.
        dtype: of its values.
        read: gives some rows.

    Example:
        >>> stored = np.arange(10).reshape(5, 2)
        >>> numbers = RowArray(stored.shape, stored.dtype, lambda rows: stored[rows])
        >>> len(numbers), numbers[1:2].tolist()
        (5, [[2, 3]])
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Rows], np.ndarray]
    ) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self._read(slice(start, stop))

    def __getitem__(self, which: Rows) -> np.ndarray:
        return self._read(which)


class Spool(StoredArray):
    """Rows that are written once and read in any order: in memory, and beyond 256 MB in a temporary file.

    The file has no name and goes with the object.

    Args:
        shape: of a row.
        dtype: of its values.

    Example:
        >>> spool = Spool((2,), np.dtype(int))
        >>> spool.append(np.array([1, 2])), spool.append(np.array([3, 4]))
        (None, None)
        >>> spool[1:].tolist(), spool.shape
        ([[3, 4]], (2, 2))
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = (0, *shape), dtype
        self._size = math.prod(shape) * dtype.itemsize
        self._stream: Any = tempfile.SpooledTemporaryFile(max_size=HELD)  # noqa: SIM115
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self._stream.close()

    @property
    def on_disk(self) -> bool:
        """Whether it is more than is kept in memory."""
        return self.nbytes > HELD

    def append(self, row: np.ndarray) -> None:
        """Adds a row at the end."""
        with self._lock:
            self._stream.seek(self.nbytes)
            self._stream.write(row.tobytes())
            self.shape = (len(self) + 1, *self.shape[1:])

    def rows(self, start: int, stop: int) -> np.ndarray:
        with self._lock:
            self._stream.seek(start * self._size)
            content = bytearray(self._stream.read((stop - start) * self._size))
        return np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])


def whole(values: np.ndarray | StoredArray) -> np.ndarray:
    """All values of an array, wherever it lies."""
    return values if isinstance(values, np.ndarray) else values.whole()


class Container(abc.ABC):
    """Arrays by their names.

    Attributes:
        names: of the arrays, groups before them with ``/`` between.
        aliases: other ways to call them.
        links: names that lead elsewhere, and are never followed.
        beside: names of those that lie in files of their own.
    """

    names: tuple[str, ...]
    beside: tuple[str, ...] = ()
    aliases: Mapping[str, str] = MappingProxyType({})
    links: tuple[str, ...] = ()

    @abc.abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array, without reading it."""

    @abc.abstractmethod
    def __getitem__(self, name: str) -> np.ndarray | StoredArray:
        """An array; its values are looked at no sooner than they are indexed, or checked and read at once.

        Raises:
            DataError: the reason alone: it cannot be read.
        """


class Single(Container):
    """One array that has no name, or one with labels beside it."""

    def __init__(self, **arrays: StoredArray | np.ndarray) -> None:
        self._arrays, self.names = arrays, tuple(arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._arrays[name].shape

    def __getitem__(self, name: str) -> StoredArray | np.ndarray:
        return self._arrays[name]


def check_growth(packed: int, size: int) -> None:
    """Refuses what is a bomb, or cannot be told from one.

    Args:
        packed: bytes in the file.
        size: bytes that they become.

    Raises:
        DataError: the reason alone.
    """
    if size > max(MAX_RATIO * packed, ALWAYS_FINE):
        raise DataError(
            f"unpacks {packed:,} bytes to {size:,}",
            hint="if that is right, store it as .npy: np.save(path, images)",
        )


def check_held(declared: int, held: int) -> None:
    """Refuses an array of another number of bytes than there are.

    Raises:
        DataError: the reason alone.
    """
    if declared != held:
        size = brief(f"{declared:,}", 30)
        raise DataError(f"is damaged: it declares {size} bytes of values and holds {held:,}")


def check_kind(dtype: Any, shape: tuple[int, ...]) -> None:
    """Refuses what is no array of numbers, nor a list of words.

    Raises:
        DataError: the reason alone.
    """
    if dtype.hasobject or dtype.kind not in ("buifcUS" if len(shape) == 1 else "buifc"):
        raise DataError(
            f"is of {brief(str(dtype), 60)} values, which are no numbers",
            hint="Python objects are never loaded; labels that are words: np.array(words, 'S')",
        )
    sides(shape)


def sides(shape: Any) -> tuple[int, ...]:
    """A shape, as a file declares it.

    Raises:
        DataError: the reason alone: more axes than images have, or impossible ones.
    """
    listed = isinstance(shape, list | tuple)
    if listed and len(shape) > MAX_AXES:
        raise DataError(f"has {len(shape)} axes")
    if not listed or not all(type(side) is int and 0 <= side < 2**63 for side in shape):
        raise DataError(f"declares the shape {brief(str(shape))}")
    return tuple(shape)


def needed(library: str, what: str, extra: str = "science") -> Any:
    """A library of an extra of this package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ConfigError(
            f"{what} needs {library.partition('.')[0]}, which is not installed",
            hint=f"pip install 'pixelcnn[{extra}]'",
        ) from error
