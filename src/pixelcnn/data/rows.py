"""Arrays that are put together from rows when they are asked for them, as one in a file is."""

import math
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pixelcnn.data.lazy import Rows
from pixelcnn.data.stored import StoredArray

HELD = 2**28
"""Bytes that a spool keeps in memory before it takes to the disk."""


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


def places(rows: Rows, count: int) -> list[int]:
    """Rows as numbers from 0 on."""
    return list(range(count)[rows]) if isinstance(rows, slice) else rows.tolist()


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
