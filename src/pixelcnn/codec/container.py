"""The bytes of a ``.pxc`` file: what it lists, blocks of coded or stored images, and checks of all of it.

A range coder notices no damage, so every part has a checksum of all before it, and the pixels of a block
have a hash. Nothing of a file is decoded before all checksums were right, and nothing of the size that it
declares allocated. ``docs/format.md`` says where every byte is.
"""

import hashlib
import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.entries import MOST_LIST, Entry, Listing, packed, parsed, unpacked, written
from pixelcnn.codec.numbers import Damaged, Source, varints
from pixelcnn.codec.tiles import block_of
from pixelcnn.shapes import ImageShape

SIGNATURE = b"\x89PXC\r\n\x1a\n"
VERSION = 1
FINGERPRINT, HASH = 8, 8
"""Bytes of a model's fingerprint, and of the hash of a block's pixels."""
MAX_HEADER = MOST_LIST + 64
CODED, STORED = 0, 1
LABELLED, PACKED = 1, 2
"""Bits of a header's flags."""


class Block(NamedTuple):
    """Some images of one shape.

    Attributes:
        mode: :data:`CODED` or :data:`STORED`.
        payload: words of the range coder, or levels as they are.
        digest: hash of its pixels, if it is coded.
    """

    mode: int
    payload: bytes
    digest: bytes = b""


def parts(entries: Iterable[Entry]) -> Iterator[tuple[ImageShape, int]]:
    """Shape and number of the tiles of each block."""
    for shape, some in groupby(entries, lambda entry: entry.size.tile_shape):
        left, block = sum(entry.count * entry.size.tiles for entry in some), block_of(shape)
        while left:
            yield shape, min(left, block)
            left -= min(left, block)


def write(
    fingerprint: bytes, entries: Sequence[Entry], labelled: bool, blocks: Iterable[Block]
) -> Iterator[bytes]:
    """The bytes of a file in parts, each block as it comes; the list was read again before the first of them.

    Raises:
        ConfigError: see :func:`pixelcnn.codec.entries.written`.
    """
    listed = written(entries)
    short = packed(listed)
    flags = LABELLED * labelled + PACKED * (len(short) < len(listed))
    body = fingerprint + bytes([flags])
    body += varints([len(listed)] if flags & PACKED else []) + short
    head = SIGNATURE + bytes([VERSION]) + varints([len(body)]) + body
    sum_so_far = zlib.crc32(head)
    head += struct.pack("<I", sum_so_far)
    if Reader(io.BytesIO(head)).entries.data != listed:
        raise AssertionError("a list that does not come back as it was written")
    yield head
    for block in blocks:
        frame = struct.pack("<BI", block.mode, len(block.payload)) + block.digest
        sum_so_far = zlib.crc32(block.payload, zlib.crc32(frame, sum_so_far))
        yield frame + block.payload + struct.pack("<I", sum_so_far)


class Reader:
    """A file that is read, its header at once.

    Args:
        stream: that can be read from any place; it stays open.

    Attributes:
        fingerprint: of the integer twin that it was coded with.
        entries: its inputs.

    Raises:
        Damaged: no file of this kind, of another version, or a header that is damaged.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        stream.seek(0)
        self.fingerprint, self.entries, self._sum = self._read_header()
        self._start = stream.tell()

    def check(self) -> None:
        """Compares all checksums.

        Raises:
            Damaged: one is wrong, or something is missing or too much.
        """
        for _ in self.blocks():
            pass

    def blocks(self) -> Iterator[tuple[ImageShape, int, Block]]:
        """Shape, number of images, and content of each block; at most one of them is in memory.

        Raises:
            Damaged: see :meth:`check`.
        """
        self._stream.seek(self._start)
        sum_so_far = self._sum
        for shape, count in parts(self.entries):
            frame = self._take(5)
            mode, size = struct.unpack("<BI", frame)
            if mode not in (CODED, STORED):
                raise Damaged("is damaged: a block of an unknown kind")
            if size > 2 * count * shape.dimensions:  # what levels take as they are
                raise Damaged("is damaged: a block that is too large")
            digest = self._take(HASH if mode == CODED else 0)
            payload = self._take(size)
            sum_so_far = zlib.crc32(payload, zlib.crc32(frame + digest, sum_so_far))
            self._compare(sum_so_far)
            yield shape, count, Block(mode, payload, digest)
        if self._stream.tell() != self.size:
            raise Damaged("is damaged: something follows its end")

    def _read_header(self) -> tuple[bytes, Listing, int]:
        start = self._stream.read(len(SIGNATURE) + 1)
        if start and SIGNATURE.startswith(start):
            raise Damaged("is damaged: it ends too early")
        if not start.startswith(SIGNATURE):
            raise Damaged("is no .pxc file", hint="'pixelcnn compress' writes them")
        if start[-1] != VERSION:
            raise Damaged(f"is of version {start[-1]}, only {VERSION} is known")
        length = b""
        while len(length) < 5 and (not length or length[-1] >= 128):
            length += self._take(1)
        size = Source(length).number(MAX_HEADER)
        body = self._take(size)
        sum_so_far = zlib.crc32(body, zlib.crc32(start + length))
        self._compare(sum_so_far)
        source = Source(body)
        fingerprint, flags = source.take(FINGERPRINT), source.number(LABELLED | PACKED)
        count = source.number(MOST_LIST) if flags & PACKED else size - source.at
        listed = unpacked(source.take(size - source.at), count)
        return fingerprint, parsed(listed, bool(flags & LABELLED)), sum_so_far

    def _take(self, size: int) -> bytes:
        if size > self.size - self._stream.tell():
            raise Damaged("is damaged: it ends too early")
        return self._stream.read(size)

    def _compare(self, expected: int) -> None:
        if struct.unpack("<I", self._take(4))[0] != expected:
            raise Damaged("is damaged: a checksum is wrong")


def digest(levels: np.ndarray) -> bytes:
    """A hash of the levels of a block, image after image."""
    return hashlib.sha256(np.ascontiguousarray(levels, "<i4").tobytes()).digest()[:HASH]


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
