"""The bytes of a ``.pxc`` file: what it holds, blocks of coded or stored images, and checks of all of it.

A range coder notices no damage, so every part has a checksum, and the decoded pixels a hash. Nothing of a
file is decoded, and nothing of the size that it declares allocated, before all checksums were right.
``docs/format.md`` says where every byte is.
"""

import hashlib
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.errors import DataError
from pixelcnn.shapes import MAX_SIDE, ImageShape

SIGNATURE = b"\x89PXC\r\n\x1a\n"
VERSION = 1
FINGERPRINT, HASH = 8, 8
"""Bytes of a model's fingerprint, and of the hash of all pixels."""
BLOCK = 1_024
"""Images of a block, at most."""
MOST = 2**32
"""Images of a file, at most."""
MAX_HEADER = 2**26
CODED, STORED = 0, 1
TYPES = ("|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")
"""Types of the arrays that come back, by their numbers."""


class Damaged(DataError):
    """A file that is damaged, or none of this kind."""


class Block(NamedTuple):
    """Some images of one shape.

    Attributes:
        mode: :data:`CODED` or :data:`STORED`.
        payload: words of the range coder, or levels as they are.
    """

    mode: int
    payload: bytes


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        fingerprint: of the integer twin that it was coded with.
        dtype: number of the type of the arrays, in :data:`TYPES`.
        is_list: whether a list of images comes back, or one array.
        groups: shapes, and how many images of each, in their order.
        labels: of all images, for a class-conditional model.
        blocks: at most :data:`BLOCK` images each, of one group.
        digest: hash of the pixels.
    """

    fingerprint: bytes
    dtype: int
    is_list: bool
    groups: tuple[tuple[ImageShape, int], ...]
    labels: tuple[int, ...]
    blocks: tuple[Block, ...]
    digest: bytes

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.groups)

    def parts(self) -> Iterator[tuple[ImageShape, int, Block]]:
        """Shape and number of images of each block."""
        blocks = iter(self.blocks)
        for shape, count in self.groups:
            for size in sizes(count):
                yield shape, size, next(blocks)


def sizes(count: int) -> list[int]:
    """Images of each block of a group.

    Example:
        >>> sizes(2_500)
        [1024, 1024, 452]
    """
    return [min(BLOCK, count - start) for start in range(0, count, BLOCK)]


def write(content: Content) -> bytes:
    """The bytes of a file."""
    body = bytearray([content.dtype, int(content.is_list)])
    body += content.fingerprint
    body += _numbers([len(content.groups)])
    for shape, count in content.groups:
        body += _numbers([*shape, count])
    labels = zlib.compress(_numbers(content.labels), 9) if content.labels else b""
    body += _numbers([len(content.labels), len(labels)]) + labels
    head = SIGNATURE + bytes([VERSION]) + _numbers([len(body)]) + body
    parts = [head, struct.pack("<I", zlib.crc32(head))]
    for block in content.blocks:
        frame = struct.pack("<BI", block.mode, len(block.payload))
        parts += [
            frame,
            block.payload,
            struct.pack("<I", zlib.crc32(block.payload, zlib.crc32(frame))),
        ]
    return b"".join([*parts, content.digest])


def read(data: bytes) -> Content:
    """What bytes hold; every checksum is compared.

    Raises:
        Damaged: they are no file of this kind, of another version, damaged or incomplete.
    """
    source = _Source(data)
    if source.take(len(SIGNATURE)) != SIGNATURE:
        raise Damaged("is no .pxc file")
    if (version := source.take(1)[0]) != VERSION:
        raise Damaged(f"is of version {version}, only {VERSION} is known")
    header = _Source(source.take(source.number(MAX_HEADER)))
    source.check(0)
    dtype, is_list = header.number(len(TYPES) - 1), header.number(1)
    fingerprint = header.take(FINGERPRINT)
    groups = [_group(header) for _ in range(header.number(MAX_HEADER))]
    if sum(count for _, count in groups) > MOST:
        raise Damaged(f"declares more than {MOST:,} images")
    labels = _labels(header, header.number(MOST))
    header.end()
    count = sum(-(-count // BLOCK) for _, count in groups)
    blocks = []
    for _ in range(count):  # a block takes bytes: a file ends before its promises become large
        start = source.at
        mode, size = struct.unpack("<BI", source.take(5))
        if mode not in (CODED, STORED):
            raise Damaged("is damaged: a block of an unknown kind")
        payload = source.take(size)
        source.check(start)
        blocks.append(Block(mode, payload))
    digest = source.take(HASH)
    source.end()
    if labels and len(labels) != sum(count for _, count in groups):
        raise Damaged("is damaged: labels for other images")
    return Content(fingerprint, dtype, bool(is_list), tuple(groups), labels, tuple(blocks), digest)


def digest(images: Sequence[np.ndarray]) -> bytes:
    """A hash of levels, image after image."""
    found = hashlib.sha256()
    for some in images:
        found.update(np.ascontiguousarray(some, "<i4").tobytes())
    return found.digest()[:HASH]


def stored(levels: np.ndarray, count: int) -> bytes:
    """Levels as they are: eight to a byte if there are two, else one or two bytes each."""
    if count == 2:
        return np.packbits(levels.astype(np.uint8)).tobytes()
    return levels.astype("|u1" if count <= 256 else "<u2").tobytes()


def unstored(payload: bytes, count: int, shape: tuple[int, ...]) -> Tensor:
    """The levels of a block that is not coded, int64 of a shape.

    Raises:
        Damaged: they are too many or too few, or out of range.
    """
    size, kind = math.prod(shape), "|u1" if count <= 256 else "<u2"
    if len(payload) != (-(-size // 8) if count == 2 else size * np.dtype(kind).itemsize):
        raise Damaged("is damaged: a block of another size")
    raw = np.frombuffer(payload, kind)
    levels = (np.unpackbits(raw, count=size) if count == 2 else raw).astype(np.int64)
    if levels.size and int(levels.max()) >= count:
        raise Damaged("is damaged: a level out of range")
    return torch.from_numpy(levels).reshape(shape)


def _group(header: "_Source") -> tuple[ImageShape, int]:
    channels, height, width = (header.number(MAX_SIDE) for _ in range(3))
    if not channels or not height or not width:
        raise Damaged("is damaged: an image without pixels")
    return ImageShape(channels, height, width), header.number(MOST)


def _labels(header: "_Source", count: int) -> tuple[int, ...]:
    packed = header.take(header.number(MAX_HEADER))
    if not count:
        return ()
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, 3 * min(count, MAX_HEADER))
    except zlib.error as error:
        raise Damaged("is damaged: labels cannot be read") from error
    source = _Source(plain)
    labels: list[int] = []
    while source.at < len(plain) and len(labels) <= count:
        labels.append(source.number(2**16))
    if len(labels) != count:
        raise Damaged("is damaged: labels for other images")
    return tuple(labels)


def _numbers(values: Sequence[int]) -> bytes:
    """Whole numbers, seven bits a byte, the lowest first; the last byte of each has its highest bit clear.

    Example:
        >>> _numbers([5, 300]).hex()
        '05ac02'
    """
    found = bytearray()
    for value in values:
        while value >= 128:
            found.append(value % 128 + 128)
            value //= 128
        found.append(value)
    return bytes(found)


class _Source:
    """Bytes that are read one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self.data) - self.at:
            raise Damaged("is damaged: it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, most: int) -> int:
        """One of :func:`_numbers`, in its only form."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if value > most or (byte == 0 and shift):
                raise Damaged("is damaged: a number out of range")
            if byte < 128:
                return value
            shift += 7

    def check(self, start: int) -> None:
        """Compares the checksum that follows with that of all from a place on."""
        found = zlib.crc32(self.data[start : self.at])
        if found != struct.unpack("<I", self.take(4))[0]:
            raise Damaged("is damaged: a checksum is wrong")

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise Damaged("is damaged: something follows its end")
