"""Arrays that are put together from rows when they are asked for them, as one in a file is."""

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


class Spool:
    """Pieces of bytes, written once and read in any order: in memory, and beyond 256 MB in a temporary file.

    The file has no name and goes with the object.

    Example:
        >>> spool = Spool()
        >>> spool.append(b"first"), spool.append(b"second")
        (None, None)
        >>> spool[1], len(spool)
        (b'second', 2)
    """

    def __init__(self) -> None:
        self._stream: Any = tempfile.SpooledTemporaryFile(max_size=HELD)  # noqa: SIM115
        self._ends = [0]
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __del__(self) -> None:
        self._stream.close()

    @property
    def on_disk(self) -> bool:
        """Whether it is more than is kept in memory."""
        return self._ends[-1] > HELD

    def append(self, piece: bytes) -> None:
        """Adds a piece at the end."""
        with self._lock:
            self._stream.seek(self._ends[-1])
            self._stream.write(piece)
            self._ends.append(self._ends[-1] + len(piece))

    def __getitem__(self, index: int) -> bytes:
        return self.between(index, index + 1)

    def between(self, start: int, stop: int) -> bytes:
        """Neighbouring pieces as one."""
        with self._lock:
            self._stream.seek(self._ends[start])
            return self._stream.read(self._ends[stop] - self._ends[start])

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> RowArray:
        """The pieces as rows of this shape and type."""

        def read(rows: Rows) -> np.ndarray:
            if isinstance(rows, slice) and rows.step in {None, 1}:
                start, stop, _ = rows.indices(len(self))
                content = self.between(start, max(start, stop))
            else:
                content = b"".join(self[index] for index in places(rows, len(self)))
            return np.frombuffer(bytearray(content), dtype).reshape(-1, *shape)

        return RowArray((len(self), *shape), dtype, read)
