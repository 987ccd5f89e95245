"""How the chunks of a Zarr array are coded: the order of their values, their bytes, their packing."""

import bz2
import dataclasses
import itertools
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pixelcnn.data.opening import brief, opened, size_of
from pixelcnn.data.stored import needed
from pixelcnn.errors import DataError

KNOWN = "zarr writes what is read here with the codecs zstd, blosc, gzip or none"
MISSING = 2**64 - 1
"""Place and size of a chunk that a shard lacks."""

Unpack = Callable[[bytes, int], bytes]
"""Packed bytes, and how many they become at most."""
Chunk = Callable[[tuple[int, ...], int, int], np.ndarray | None]
"""Some rows of a chunk, by its place in a grid."""


@dataclasses.dataclass(frozen=True)
class Codecs:
    """How an array becomes the bytes of a chunk; here the way back."""

    dtype: np.dtype
    """Of the values, in the byte order of the file."""
    order: tuple[int, ...]
    """Where the axes of the array stand in the file."""
    packings: tuple[str, ...] = ()
    """In the order in which they were applied."""
    shard: tuple[int, ...] | None = None
    """Sides of the chunks that a file holds several of, with an index."""
    inner: "Codecs | None" = None
    """Of these chunks."""
    index: "Codecs | None" = None
    """Of the index."""
    index_first: bool = False

    def decoded(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """The values of a chunk.

        Raises:
            DataError: other bytes than such a chunk has.
        """
        size = math.prod(shape) * self.dtype.itemsize
        for name in reversed(self.packings):
            data = UNPACKERS[name](data, size + 4 * len(self.packings))
        if len(data) != size:
            raise DataError(
                f"is damaged: a chunk holds {len(data):,} bytes of values, not {size:,}"
            )
        stored = tuple(shape[axis] for axis in self.order)
        return np.frombuffer(data, self.dtype).reshape(stored).transpose(np.argsort(self.order))

    def read_shard(self, path: Path, shape: tuple[int, ...], first: int, part: np.ndarray) -> None:
        """Puts the rows from ``first`` on of a shard into an array, as far as the shard has them.

        Raises:
            DataError: it is damaged.
        """
        assert self.shard is not None and self.inner is not None, "only a shard is read so"
        with opened(path) as stream:
            grid = tuple(a // b for a, b in zip(shape, self.shard, strict=True))
            places, held = self._index_of(stream, grid), size_of(stream)

            def chunk(place: tuple[int, ...], low: int, high: int) -> np.ndarray | None:
                assert self.shard is not None and self.inner is not None, "as above"
                offset, size = map(int, places[place])
                if offset == size == MISSING:
                    return None
                if offset + size > held:
                    raise DataError("is damaged: a shard ends early")
                stream.seek(offset)
                return self.inner.decoded(stream.read(size), self.shard)[low:high]

            gather(part, first, shape, self.shard, chunk)

    def _index_of(self, stream: BinaryIO, grid: tuple[int, ...]) -> np.ndarray:
        """Offset and size of each chunk of a shard."""
        assert self.index is not None, "a shard has one"
        length = 16 * math.prod(grid) + 4 * len(self.index.packings)
        if length > size_of(stream):
            raise DataError("is damaged: a shard ends early")
        stream.seek(0 if self.index_first else size_of(stream) - length)
        return self.index.decoded(stream.read(length), (*grid, 2))


def gather(
    result: np.ndarray, first: int, shape: Sequence[int], sides: Sequence[int], chunk: Chunk
) -> None:
    """Puts the rows from ``first`` on of an array of this shape, whose chunks have these sides, into another.

    Args:
        result: is filled; of these rows.
        first: of the rows.
        shape: of the whole array.
        sides: of a chunk.
        chunk: gives some rows of the chunk at a place in the grid; None where there is no such chunk.
    """
    last, (deep, *flat) = first + len(result), sides
    grid = (range(-(-side // n)) for side, n in zip(shape[1:], flat, strict=True))
    for place in itertools.product(range(first // deep, (last - 1) // deep + 1), *grid):
        start = place[0] * deep
        low, high = max(first, start), min(last, start + deep)
        rest = (slice(at * n, at * n + n) for at, n in zip(place[1:], flat, strict=True))
        target = result[(slice(low - first, high - first), *rest)]
        if (part := chunk(place, low - start, high - start)) is not None:
            target[...] = part[tuple(map(slice, target.shape))]


def codecs_of(listed: Any, dtype: np.dtype, axes: int) -> Codecs:
    """What a description says.

    Raises:
        DataError: a codec that is not read.
        KeyError, TypeError, ValueError: it lacks something.
    """
    order, packings, seen = tuple(range(axes)), [], False
    found = Codecs(dtype, order)
    for each in listed:
        name, settings = each["name"], each.get("configuration") or {}
        if name == "transpose" and not seen:
            moved = settings["order"]
            if sorted(moved) != list(range(axes)):
                raise DataError(f"has axes in the order {brief(str(moved), 60)}")
            order = tuple(order[axis] for axis in moved)
        elif name == "bytes" and not seen:
            big = settings.get("endian", "little") == "big"
            found = dataclasses.replace(found, dtype=dtype.newbyteorder(">" if big else "<"))
            seen = True
        elif name == "sharding_indexed" and not seen:
            found, seen = _sharded(settings, dtype, axes), True
        elif name in UNPACKERS and seen:
            packings.append(name)
        else:
            raise DataError(f"is coded by {brief(str(name), 40)}, which is not read", hint=KNOWN)
    if not seen or (found.shard is not None and (packings or order != tuple(range(axes)))):
        raise DataError("is coded in an order that is not read", hint=KNOWN)
    if sum(name != "crc32c" for name in packings) > 1:
        raise DataError("is packed twice", hint=KNOWN)
    return dataclasses.replace(found, order=order, packings=tuple(packings))


def _sharded(settings: Mapping[str, Any], dtype: np.dtype, axes: int) -> Codecs:
    """Codecs of shards, each a file of several chunks."""
    sides = settings["chunk_shape"]
    if not all(type(side) is int and side > 0 for side in sides):
        raise DataError(f"has chunks {brief(str(sides), 60)} in shards")
    inner = codecs_of(settings["codecs"], dtype, axes)
    index = codecs_of(settings["index_codecs"], np.dtype("<u8"), axes + 1)
    if inner.shard is not None or index.shard is not None or set(index.packings) - {"crc32c"}:
        raise DataError("has shards in shards, or an index that is packed", hint=KNOWN)
    first = settings.get("index_location", "end") == "start"
    return Codecs(dtype, tuple(range(axes)), (), tuple(sides), inner, index, first)


def as_version_3(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """The description of an array of version 2 as one of version 3 would be; of version 3 as it is.

    Raises:
        DataError: a filter that is not read.
        KeyError, TypeError, ValueError: it lacks something.
    """
    if described["zarr_format"] == 3:
        return described
    if described.get("filters"):
        names = ", ".join(str(each["id"]) for each in described["filters"])
        raise DataError(f"is filtered by {brief(names, 60)}, which is not read", hint=KNOWN)
    plain = range(len(described["chunks"]))
    order = {"C": plain, "F": plain[::-1]}[described["order"]]
    kind, packer = described["dtype"], described.get("compressor")
    endian = "big" if str(kind).startswith(">") else "little"
    codecs = [("transpose", {"order": order}), ("bytes", {"endian": endian})]
    codecs += [] if packer is None else [(str(packer["id"]), {})]
    keys = {"separator": described.get("dimension_separator", ".")}
    return {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": described["chunks"]}},
        "chunk_key_encoding": {"name": "v2", "configuration": keys},
        "data_type": kind,
        "codecs": [{"name": name, "configuration": settings} for name, settings in codecs],
        "fill_value": described.get("fill_value"),
    }


def _too_much(most: int) -> DataError:
    return DataError(f"is damaged: a chunk unpacks to more than its {most:,} bytes")


def _stream(data: bytes, most: int, decoder: Any) -> bytes:
    """What a decoder of the standard library makes of some bytes."""
    found: bytes = decoder.decompress(data, most + 1)
    if len(found) > most:
        raise _too_much(most)
    if not decoder.eof:
        raise DataError("is damaged: a chunk ends early")
    return found


def _zstd(data: bytes, most: int) -> bytes:
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd") as stream:
        found: bytes = stream.read(most + 1)
    if len(found) > most:
        raise _too_much(most)
    return found


def _blosc(data: bytes, most: int) -> bytes:
    """Blosc trusts the sizes in its header."""
    blosc = needed("numcodecs.blosc", "a Zarr array packed by blosc")
    if len(data) < 16:
        raise DataError("is damaged: a chunk ends early")
    size, _, packed = struct.unpack_from("<3I", data, 4)
    if size > most:
        raise _too_much(most)
    if packed != len(data):
        raise DataError("is damaged: a chunk ends early")
    return bytes(blosc.decompress(data))


def _lz4(data: bytes, most: int) -> bytes:
    import pyarrow

    size = int.from_bytes(data[:4], "little")
    if size > most:
        raise _too_much(most)
    return pyarrow.Codec("lz4_raw").decompress(data[4:], size, asbytes=True)


def _crc32c(data: bytes, most: int) -> bytes:
    """The bytes before a checksum, if it is theirs."""
    crc32c = needed("google_crc32c", "a Zarr array with checksums")
    body, said = data[:-4], data[-4:]
    if crc32c.value(body).to_bytes(4, "little") != said:
        raise DataError("is damaged: the checksum of a chunk does not agree")
    return body


UNPACKERS: dict[str, Unpack] = {
    "gzip": lambda data, most: _stream(data, most, zlib.decompressobj(31)),
    "zlib": lambda data, most: _stream(data, most, zlib.decompressobj()),
    "bz2": lambda data, most: _stream(data, most, bz2.BZ2Decompressor()),
    "lzma": lambda data, most: _stream(data, most, lzma.LZMADecompressor(memlimit=2**27)),
    "zstd": _zstd,
    "blosc": _blosc,
    "lz4": _lz4,
    "crc32c": _crc32c,
}
"""By the names that both versions have for them."""
