"""What a file of compressed images lists: each input, the images that it gave, and how it comes back.

Forms and sizes that are alike are written down once, and of a name only what differs from the one before.
"""

import os
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pixelcnn.codec.numbers import Damaged, Source, varints
from pixelcnn.codec.tiles import MOST_COLUMNS, MOST_SUBPIXELS, grid
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import LAYOUTS, MAX_CHANNELS, MAX_LEVELS, MAX_SIDE, ImageShape

ARRAY, LIST, FILE, PICTURE = range(4)
"""Kinds of inputs: an array in Python, images of a list in Python, an ``.npy`` file, a picture."""
TYPES = (
    "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", ">u2", ">i2", ">u4", ">i4", ">u8", ">i8",
)  # fmt: skip
"""Types of values, by their numbers."""
MODES = {"1": 2, "L": 256, "RGB": 256, "I;16": 65_536, "RGB;16": 65_536}
"""Kinds of pictures as Pillow calls them, by their numbers, and how many values a sub-pixel has."""
MOST_FORMS, MOST_SIZES, MOST_NAME = 4_096, 65_536, 4_096
MOST_LIST = 2**24
"""Bytes of a list at most."""
MOST_VALUES = 2**20
"""Values of all forms at most."""
MOST_IMAGES = 2**32
"""Images, or tiles of images, of a file at most."""


@dataclass(frozen=True)
class Form:
    """How levels come back.

    Attributes:
        kind: :data:`ARRAY`, :data:`LIST`, :data:`FILE` or :data:`PICTURE`.
        type: number of the type of its values in :data:`TYPES`; of a picture that of its mode in
            :data:`MODES`.
        layout: number of the axes of a file in :data:`LAYOUTS`.
        fortran: whether its first axis is the one whose values lie beside each other.
        values: the stored value of each level; empty if levels are values.
    """

    kind: int
    type: int
    layout: int = 0
    fortran: bool = False
    values: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        if self.kind == PICTURE:
            return np.dtype(np.uint16 if [*MODES.values()][self.type] > 256 else np.uint8)
        return np.dtype(TYPES[self.type])

    def restored(self, levels: np.ndarray) -> np.ndarray:
        """The stored values of levels, whatever their shape.

        Raises:
            Damaged: a level that no value is known of.
        """
        if not self.values:
            return levels.astype(self.dtype)
        if levels.size and int(levels.max()) >= len(self.values):
            raise Damaged("is damaged: a level without a value")
        return np.array(self.values, np.int64).astype(self.dtype)[levels]


class Size(NamedTuple):
    """The shape of an image, and height and width of the tiles that it is split into."""

    shape: ImageShape
    tile: tuple[int, int]

    @property
    def tile_shape(self) -> ImageShape:
        """Of each tile."""
        return ImageShape(self.shape.channels, *self.tile)

    @property
    def tiles(self) -> int:
        """Of each image."""
        rows, columns = grid(self.shape, self.tile)
        return rows * columns


@dataclass(frozen=True)
class Entry:
    """One input.

    Attributes:
        name: of the file, with ``/`` between folders; empty for arrays in Python and standard input.
        form: how it comes back.
        size: of its images.
        count: of its images.
        labels: one for each image, if the model is class-conditional.
        number: its place in the list.
    """

    name: str
    form: Form
    size: Size
    count: int
    labels: Sequence[int] = ()
    number: int = 0


@dataclass(frozen=True)
class Listing:
    """The entries of a file, parsed when they are asked for, since there may be a million of them.

    Attributes:
        forms: all there are.
        sizes: likewise.
        length: number of entries.
        labelled: whether each image has a label.
        data: bytes that end with them.
        start: where they begin.
    """

    forms: tuple[Form, ...]
    sizes: tuple[Size, ...]
    length: int
    labelled: bool
    data: bytes
    start: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Entry]:
        source, before = Source(self.data, self.start), b""
        for number in range(self.length):
            form = self.forms[source.number(len(self.forms) - 1)]
            size = self.sizes[source.number(len(self.sizes) - 1)]
            count = source.number(MOST_IMAGES)
            same = source.number(len(before))
            before = before[:same] + source.take(source.number(MOST_NAME - same))
            name = _name(before)
            given: Sequence[int] = ()
            if self.labelled:
                given = array("H", (source.number(MAX_LEVELS - 1) for _ in range(count)))
            yield Entry(name, form, size, count, given, number)
        source.end()

    @property
    def images(self) -> int:
        """Of all entries."""
        return sum(entry.count for entry in self)

    @property
    def tiles(self) -> int:
        """Of all images."""
        return sum(entry.count * entry.size.tiles for entry in self)


def written(entries: Sequence[Entry]) -> bytes:
    """The bytes of a list.

    Raises:
        ConfigError: too many, or too different, for one file.
    """
    forms = {form: number for number, form in enumerate(dict.fromkeys(e.form for e in entries))}
    sizes = {size: number for number, size in enumerate(dict.fromkeys(e.size for e in entries))}
    body = bytearray(varints([len(forms)]))
    for form in forms:
        body += varints([form.kind, form.type, 2 * form.layout + form.fortran, len(form.values)])
        body += varints(form.values)
    body += varints([len(sizes)])
    for size in sizes:
        body += varints([*size.shape, *size.tile])
    body += varints([len(entries)])
    before = b""
    for entry in entries:
        name = entry.name.encode(errors="surrogateescape")
        same = len(os.path.commonprefix([before, name]))  # noqa: RUF071, byte by byte
        body += varints([forms[entry.form], sizes[entry.size], entry.count, same])
        body += varints([len(name) - same]) + name[same:] + varints(entry.labels)
        before = name
    many = len(forms) > MOST_FORMS or len(sizes) > MOST_SIZES or len(body) > MOST_LIST
    many |= sum(len(form.values) for form in forms) > MOST_VALUES
    if many or sum(e.count * e.size.tiles for e in entries) > MOST_IMAGES:
        raise ConfigError(
            f"{len(entries):,} inputs are too many, or too different, for one file",
            hint="compress them in several parts",
        )
    return bytes(body)


def parsed(data: bytes, labelled: bool) -> Listing:
    """What bytes list; all of it is checked.

    Raises:
        Damaged: no list that :func:`written` gives.
    """
    source = Source(data)
    forms: list[Form] = []
    for _ in range(source.number(MOST_FORMS)):
        forms.append(_form(source, MOST_VALUES - sum(len(form.values) for form in forms)))
    sizes = tuple(_size(source) for _ in range(source.number(MOST_SIZES)))
    length = source.number(MOST_LIST)
    found = Listing(tuple(forms), sizes, length, labelled, data, source.at)
    if found.tiles > MOST_IMAGES:
        raise Damaged(f"declares more than {MOST_IMAGES:,} images")
    return found


def packed(data: bytes) -> bytes:
    """Bytes in fewer, if that can be, by zlib; as many tell a reader that they are as they were."""
    return min(data, zlib.compress(data, 9), key=len)


def unpacked(data: bytes, size: int) -> bytes:
    """So many bytes out of :func:`packed`.

    Raises:
        Damaged: it holds others.
    """
    if len(data) == size:
        return data
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise Damaged("is damaged: its list cannot be read") from error
    if len(plain) != size or not unpacker.eof or unpacker.unused_data:
        raise Damaged("is damaged: its list is of another size")
    return plain


def check_names(names: Iterable[str]) -> None:
    """Refuses inputs of which one would replace the other when they come back.

    Raises:
        ConfigError: names the name.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(
                f"two inputs would both come back as {name}", hint="compress them one by one"
            )
        seen.add(name)


def _form(source: Source, most: int) -> Form:
    kind = source.number(PICTURE)
    number = source.number((len(MODES) if kind == PICTURE else len(TYPES)) - 1)
    layout, fortran = divmod(source.number(2 * len(LAYOUTS) - 1), 2)
    length = source.number(min(most, MAX_LEVELS))
    values = tuple(source.number(MAX_LEVELS - 1) for _ in range(length))
    return Form(kind, number, layout, bool(fortran), values)


def _size(source: Source) -> Size:
    channels, height, width = map(source.number, (MAX_CHANNELS, MAX_SIDE, MAX_SIDE))
    down, across = source.number(height), source.number(width)
    if not channels or not down or not across:
        raise Damaged("is damaged: an image without pixels")
    if channels * down * across > MOST_SUBPIXELS or across > MOST_COLUMNS:
        raise Damaged("is damaged: a tile that is too large")
    return Size(ImageShape(channels, height, width), (down, across))


def fits(name: str) -> bool:
    r"""Whether a name lies below whatever folder it is put into.

    Example:
        >>> fits("a/b.png"), fits(""), fits("../b.png"), fits("/b.png"), fits("a\\b.png")
        (True, True, False, False, False)
    """
    inside = not any(part in {"", ".", ".."} for part in name.split("/"))
    short = len(name.encode(errors="surrogateescape")) <= MOST_NAME
    return not name or (inside and short and not re.search(r"[\0\\]", name))


def _name(data: bytes) -> str:
    name = data.decode(errors="surrogateescape")
    if not fits(name):
        raise Damaged("is damaged: a name that leads elsewhere")
    return name
