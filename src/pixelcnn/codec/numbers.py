"""Whole numbers and other parts of a file, and what is said of a file that has not what it ought to."""

from collections.abc import Iterable

from pixelcnn.errors import DataError


class Damaged(DataError):
    """A file that is damaged, or none of this kind."""


def varints(values: Iterable[int]) -> bytes:
    """Whole numbers, seven bits a byte, the lowest first; the last byte of each has its highest bit clear.

    Example:
        >>> varints([5, 300]).hex()
        '05ac02'
    """
    found = bytearray()
    for value in values:
        while value >= 128:
            found.append(value % 128 + 128)
            value //= 128
        found.append(value)
    return bytes(found)


class Source:
    """Bytes that are read one after the other, from a place on."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self.data) - self.at:
            raise Damaged("is damaged: it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, most: int) -> int:
        """One of :func:`varints`, in its only form, up to a largest."""
        value = shift = 0
        while True:
            if self.at == len(self.data):
                raise Damaged("is damaged: it ends too early")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if value > most or (byte == 0 and shift):
                raise Damaged("is damaged: a number out of range")
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise Damaged("is damaged: a number out of range")

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise Damaged("is damaged: something follows its end")
