"""Many images as the bytes of one file, and back, a block at a time.

What is in memory at once is one block, whatever the number of images, and one image of several tiles.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec import container
from pixelcnn.codec.coding import Integers, decode, encode
from pixelcnn.codec.container import CODED, STORED, Block, Reader, parts
from pixelcnn.codec.entries import Entry, Form, Size
from pixelcnn.codec.integers import of_shape, twin_of
from pixelcnn.codec.numbers import Damaged
from pixelcnn.codec.tiles import block_of, join, split, tile_of
from pixelcnn.codec.twin import Twin
from pixelcnn.errors import DataError, ModelError, PixelCNNError
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape, check_levels

Callback = Callable[[int, int], None]
"""Called with what is done and all there is."""


class Input(NamedTuple):
    """Images that are to be compressed.

    Attributes:
        entry: what is written of them.
        read: some of them, by the first and the one behind the last: integer levels ``(k, c, h, w)``.
    """

    entry: Entry
    read: Callable[[int, int], Any]


def entry_of(
    model: PixelModel,
    form: Form,
    shape: ImageShape,
    count: int,
    labels: Sequence[int] = (),
    name: str = "",
) -> Entry:
    """What is written of some images, which are split into tiles where they are too large."""
    return Entry(name, form, Size(shape, tile_of(shape, model.network.largest)), count, labels)


def pack(
    model: PixelModel,
    inputs: Sequence[Input],
    *,
    verify: bool = True,
    callback: Callback | None = None,
) -> Iterator[bytes]:
    """The bytes of a file in parts.

    Args:
        model: with ranges in its record.
        inputs: neighbours of one size share their blocks.
        verify: decode each block again, and compare.
        callback: called with tiles done and tiles in all; an image that is coded whole is one tile.

    Raises:
        DataError: levels that are out of the model's range.
        ModelError: a model without ranges or an integer form, or images of other channels than its own.
    """
    twin, fingerprint = twin_of(model)
    labelled = model.network.condition is not None
    entries = [each.entry for each in inputs]
    blocks = _coded(model, twin, inputs, labelled, verify)
    total = sum(entry.count * entry.size.tiles for entry in entries)
    yield from container.write(fingerprint, entries, labelled, _counted(blocks, total, callback))


def unpack(
    model: PixelModel, reader: Reader, callback: Callback | None = None
) -> Iterator[tuple[Entry, np.ndarray]]:
    """The entries of a file, each with some of its images until it has had all.

    Args:
        model: the one that compressed them.
        reader: of the file, all of whose checksums are compared before the first image.
        callback: as in :func:`pack`.

    Yields:
        An entry and levels ``(k, c, h, w)``, uint8 up to 256 levels, else int32; of an entry without images
        once, none of them.

    Raises:
        DataError: damaged.
        ModelError: compressed with another model.
    """
    reader.check()  # before the twin is made, which takes long
    twin = check_model(model, reader)
    total = reader.entries.tiles if callback is not None else 0
    tiles = _Tiles(_counted(_decoded(model, twin, reader), total, callback))
    for entry in reader.entries:
        shape, left = entry.size.shape, entry.count
        if not left:
            yield entry, np.zeros((0, *shape), np.uint8)
        while left:
            some = join(tiles.take(entry.size.tiles, left), shape)
            left -= len(some)
            yield entry, some.numpy()


def check_model(model: PixelModel, reader: Reader) -> Twin:
    """The integer twin of a model, which has to be the one that a file was compressed with.

    Raises:
        ModelError: names both fingerprints.
        Damaged: labels for a model without, or none for one with.
    """
    twin, fingerprint = twin_of(model)
    if reader.fingerprint != fingerprint:
        raise ModelError(
            f"compressed with the model {reader.fingerprint.hex()}, this one is {fingerprint.hex()}",
            hint="take the model file that compressed it",
        )
    if reader.entries.labelled != (model.network.condition is not None):
        raise Damaged("is damaged: labels for a model without, or none for one with")
    return twin


def _coded(
    model: PixelModel, twin: Twin, inputs: Sequence[Input], labelled: bool, verify: bool
) -> Iterator[tuple[int, Block]]:
    """All blocks, each with the number of its tiles."""
    entries = [each.entry for each in inputs]
    labels, tiles = _tile_labels(entries), _Tiles(_read(model, inputs))
    for shape, some in groupby(parts(entries), itemgetter(0)):
        program = of_shape(model, twin, shape)
        for _, count in some:
            given = _next(labels, count) if labelled else None
            yield count, _block(program, tiles.take(count, 1).long(), given, verify)


def _read(model: PixelModel, inputs: Iterable[Input]) -> Iterator[Tensor]:
    """The tiles of all inputs, of as many images at a time as there are in a block."""
    for entry, read in inputs:
        step = max(1, block_of(entry.size.tile_shape) // entry.size.tiles)
        for start in range(0, entry.count, step):
            stop = min(start + step, entry.count)
            yield split(_checked(model, entry, read(start, stop), stop - start), entry.size.tile)


def _checked(model: PixelModel, entry: Entry, images: Any, count: int) -> Tensor:
    shape, levels = entry.size.shape, torch.as_tensor(images)
    if tuple(levels.shape) != (count, *shape):
        raise DataError(f"images have become others while they were read: {tuple(levels.shape)}")
    check_levels(levels, model.levels)
    return levels


def _block(model: Integers, levels: Tensor, labels: Tensor | None, verify: bool) -> Block:
    """Images coded, or stored where that takes fewer bytes."""
    plain = container.stored(levels.numpy(), model.levels)
    words = encode(model, levels, labels)
    payload = words.astype("<u4").tobytes()
    if len(payload) + container.HASH >= len(plain):
        return Block(STORED, plain)
    if verify and not decode(model, words, len(levels), labels).equal(levels):
        raise PixelCNNError(
            "images do not come back as they were: nothing is written",
            hint="this is a bug, or memory that is not to be relied on",
        )
    return Block(CODED, payload, container.digest(levels.numpy()))


def _decoded(model: PixelModel, twin: Twin, reader: Reader) -> Iterator[tuple[int, Tensor]]:
    """The tiles of each block, in a type that takes little room."""
    labels = _tile_labels(reader.entries)
    known = max(1, model.network.condition_size)
    for shape, some in groupby(reader.blocks(), itemgetter(0)):
        program = of_shape(model, twin, shape)
        for _, count, block in some:
            given = _next(labels, count) if reader.entries.labelled else None
            if given is not None and int(given.max()) >= known:
                raise Damaged("is damaged: a label out of range")
            yield count, _levels(program, block, count, given).to(model.image_dtype)


def _levels(model: Integers, block: Block, count: int, labels: Tensor | None) -> Tensor:
    if block.mode == STORED:
        return container.unstored(block.payload, model.levels, (count, *model.shape))
    if len(block.payload) % 4:
        raise Damaged("is damaged: a block of half words")
    words = np.frombuffer(block.payload, "<u4").astype(np.uint32)
    levels = decode(model, words, count, labels)
    if container.digest(levels.numpy()) != block.digest:
        raise Damaged("is damaged: the decoded pixels are others")
    return levels


def _tile_labels(entries: Iterable[Entry]) -> Iterator[int]:
    return (label for e in entries for label in e.labels for _ in range(e.size.tiles))


def _next(labels: Iterator[int], count: int) -> Tensor:
    return torch.tensor(array("q", islice(labels, count)))


def _counted(
    blocks: Iterable[tuple[int, Any]], total: int, callback: Callback | None
) -> Iterator[Any]:
    """What blocks hold, telling how many tiles are done."""
    done = 0
    for count, block in blocks:
        done += count
        if callback is not None:
            callback(done, total)
        yield block


class _Tiles:
    """Tiles that come some at a time, as many as are taken."""

    def __init__(self, tiles: Iterator[Tensor]) -> None:
        self.tiles, self.waiting = tiles, list[Tensor]()

    def take(self, size: int, most: int) -> Tensor:
        """As many times so many tiles as are there, at least once and no more than ``most`` times."""
        while sum(map(len, self.waiting)) < size:
            self.waiting.append(next(self.tiles))
        # A copy for each image of many in a block would take far more memory than they do.
        tiles = self.waiting[0] if len(self.waiting) == 1 else torch.cat(self.waiting)
        count = min(len(tiles) // size, most) * size
        self.waiting = [tiles[count:]] if count < len(tiles) else []
        return tiles[:count]
